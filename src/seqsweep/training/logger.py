"""What callbacks that want a logger are given: the run's own record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.loggers import Logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from seqsweep.tracking import Tracker

MEASURED = ("val/", "test/")
"""Beginnings of the names whose values are recorded without Lightning, if a task logs them."""


class RecordLogger(Logger):
    """Lightning's kind of logger over a `Tracker`.

    Args:
        tracker: where metrics go.
        directory: the run's folder.

    """

    def __init__(self, tracker: Tracker, directory: Path) -> None:
        super().__init__()
        self._tracker, self._directory = tracker, directory

    @property
    def name(self) -> str:
        """Names no folder."""
        return "seqsweep"

    @property
    def save_dir(self) -> str:
        """What callbacks know as ``trainer.log_dir``."""
        return str(self._directory)

    @property
    def version(self) -> str:
        """Nor does this."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record what a callback measures."""
        by_lightning = "epoch" in metrics  # which puts it to what came through `self.log`
        others = {
            name: value
            for name, value in metrics.items()
            if name != "epoch" and not (by_lightning and name.startswith(MEASURED))
        }
        if others:
            self._tracker.log_metrics(others, step or 0)

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: the configuration is recorded."""


def wants_logger(callback: Callback) -> bool:
    """Whether a callback may log something: those of Lightning's that do, and any of somebody else's."""
    foreign = type(callback).__module__.partition(".")[0] != "lightning"
    return foreign or isinstance(callback, LearningRateMonitor | DeviceStatsMonitor)
