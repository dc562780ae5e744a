"""Randomness: every draw of a trial follows from its seed, through streams with names.

A stream's draws depend on nothing that ran before in the process, nor on what
other streams drew, so the order in which parts are built changes nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def derive(seed: int, stream: str) -> int:
    """The seed of the stream named `stream`, of 63 bits."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` at the beginning of its stream."""
    made = torch.Generator(device)
    made.manual_seed(derive(seed, stream))
    return made


@contextmanager
def isolated(seed: int, stream: str) -> Iterator[None]:
    """Run the body with the global generator at the beginning of a stream; put it back afterwards.

    Initial weights are drawn from the global generator by ``torch.nn``.
    """
    with torch.random.fork_rng(devices=[]):
        # not torch.manual_seed, which reaches for CUDA too
        torch.default_generator.manual_seed(derive(seed, stream))
        yield
