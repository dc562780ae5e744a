"""What callbacks that want a logger are given: the run's own record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.loggers import Logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seqsweep.tracking import Tracker

OURS = ("train/", "val/", "test/")
"""Beginnings of the names that are recorded without Lightning."""


class RecordLogger(Logger):
    """Lightning's kind of logger over a `Tracker`.

    What the task logs goes to the record by another way, so of that nothing is taken from here.

    Args:
        tracker: where metrics go.

    """

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    @property
    def name(self) -> str:
        """Names no folder."""
        return "seqsweep"

    @property
    def version(self) -> str:
        """Nor does this."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record what a callback measures."""
        others = {
            name: value for name, value in metrics.items() if not name.startswith(OURS) and name != "epoch"
        }
        self._tracker.log_metrics(others, step or 0)

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: the configuration is recorded."""


def wants_logger(callback: Callback) -> bool:
    """Whether a callback may log something: those of Lightning's that do, and any of somebody else's."""
    foreign = type(callback).__module__.partition(".")[0] != "lightning"
    return foreign or isinstance(callback, LearningRateMonitor | DeviceStatsMonitor)
