from __future__ import annotations

from typing import TYPE_CHECKING

from seqsweep.tracking import MemoryTracker, Spool, Tracker

if TYPE_CHECKING:
    from pathlib import Path


def trackers(folder: Path) -> list[Tracker]:
    return [MemoryTracker(), Spool(folder)]


def test_both_are_trackers(tmp_path: Path) -> None:
    for tracker in trackers(tmp_path):
        tracker.log_params({"a": 1})
        tracker.set_tags({"b": "c"})
        tracker.log_metrics({"d": 1.0}, 0)
        tracker.log_artifact(tmp_path / "e", "f")
        tracker.end("complete")
        tracker.flush()
        tracker.close()


def test_memory_keeps_the_first_of_metrics_and_params_and_the_last_of_tags() -> None:
    tracker = MemoryTracker()
    for value in (1, 2):
        tracker.log_metrics({"loss": value}, 5)
        tracker.log_params({"lr": value})
        tracker.set_tags({"tag": str(value)})
    tracker.log_metrics({"loss": 3}, 6)
    assert tracker.metrics == {"loss": [(5, 1.0), (6, 3.0)]}
    assert (tracker.params, tracker.tags, tracker.last("loss")) == ({"lr": 1}, {"tag": "2"}, 3.0)
