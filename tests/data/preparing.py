"""What the other processes of test_prepared.py run; a module of its own, so that they can import it."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsweep.data.prepared import prepared

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier
    from pathlib import Path


def arrays() -> dict[str, np.ndarray]:
    return {"numbers": np.arange(100_000), "letters": np.frombuffer(b"seqsweep", np.uint8)}


def use_cache(cache: Path) -> None:
    """Of the calling test: the environment here is of the time when the fork server was started."""
    os.environ["XDG_CACHE_HOME"] = str(cache)


def prepare_together(cache: Path, together: Barrier, builds: Path, answers: Any) -> None:
    """Ask at the same moment as the others; each build leaves a file in `builds`."""
    use_cache(cache)

    def build() -> dict[str, np.ndarray]:
        tempfile.mkstemp(dir=builds)
        return arrays()

    together.wait()
    found = prepared("shared", build)
    answers.put((int(found["numbers"].sum()), bytes(found["letters"].tolist())))


def prepare_forever(cache: Path, begun: Connection) -> None:
    """Say that the build has begun, then never end it."""
    use_cache(cache)

    def build() -> dict[str, np.ndarray]:
        begun.send("begun")
        begun.recv()
        raise AssertionError("to be killed before")

    prepared("shared", build)
