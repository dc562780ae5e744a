"""A callback that says when its run gets where, apart from the benchmark so that a worker imports little."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer


class Clock(Callback):
    """Writes time, processor time and private memory at the places of a run's start to ``start.json``."""

    def __init__(self) -> None:
        self.marks: dict[str, dict[str, float]] = {}
        self.mark("built from its configuration: begun")

    def mark(self, place: str) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.marks[place] = {"time": time.time(), "cpu": used.ru_utime + used.ru_stime}

    def setup(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        self.mark("built; fit begun")

    def on_train_batch_start(self, *_: Any) -> None:
        if len(self.marks) == 2:
            self.mark("first step begun")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if len(self.marks) == 3:
            self.mark("first step made")
            marks = self.marks | {"memory": private_memory()}
            (Path(trainer.default_root_dir) / "start.json").write_text(json.dumps(marks))


def private_memory() -> int:
    """Bytes that this process shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
