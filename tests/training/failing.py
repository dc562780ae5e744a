"""Runs in several processes of which one goes wrong."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import torch
from torch import Tensor, distributed

from seqsweep.models import GRU
from seqsweep.spec import DataSpec
from training.tiny import config


class Held:
    """Says at its end whether the processes were still connected."""

    ends: ClassVar[list[bool]] = []

    def __del__(self) -> None:
        self.ends.append(distributed.is_initialized())


class Failing(GRU):
    """A GRU of which one process goes wrong in its third step, in the way `fault` says."""

    def __init__(self, spec: DataSpec, *, fault: str, rank: int) -> None:
        super().__init__(spec, hidden_size=4)
        self.fault, self.rank = fault, rank
        self.calls = 0

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, masks: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        self.calls += 1
        if self.calls == 3 and distributed.is_initialized() and distributed.get_rank() == self.rank:
            held = Held()
            if self.fault == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            if self.fault == "kill":
                os.kill(os.getpid(), 9)
            del held
        return super().forward(inputs, lengths, masks)


def failing(fault: str, rank: int = 1) -> dict[str, Any]:
    model = {
        "_target_": "training.failing.Failing",
        "_partial_": True,
        "fault": fault,
        "rank": rank,
    }
    return config(model=model, trainer__max_epochs=1)
