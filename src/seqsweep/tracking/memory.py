"""A tracker that keeps everything in memory, for tests and for looking at a run directly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seqsweep.tracking.base import Dataset, State


class MemoryTracker:
    """A `Tracker` whose record is its attributes.

    `metrics` maps a key to its (step, value) pairs in the order in which they came.
    """

    def __init__(self) -> None:
        self.params: dict[str, object] = {}
        self.tags: dict[str, str] = {}
        self.metrics: dict[str, list[tuple[int, float]]] = {}
        self.artifacts: list[tuple[Path, str]] = []
        self.data: list[Dataset] = []
        self.state: State | None = None
        self.closed = False

    def log_params(self, params: Mapping[str, object]) -> None:
        """Keep the parameters that are new."""
        self.params = {**params, **self.params}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep the tags."""
        self.tags.update(tags)

    def log_metrics(self, metrics: Mapping[str, SupportsFloat], step: int) -> None:
        """Keep the values that are new."""
        for key, value in metrics.items():
            series = self.metrics.setdefault(key, [])
            if all(known != step for known, _ in series):
                series.append((step, float(value)))

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Keep the path."""
        self.artifacts.append((Path(path), folder))

    def log_data(self, datasets: Iterable[Dataset]) -> None:
        """Keep them."""
        self.data.extend(datasets)

    def end(self, state: State) -> None:
        """Keep the state."""
        self.state = state

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Remember that it was called."""
        self.closed = True

    def last(self, key: str) -> float:
        """The newest value of a metric. Raises KeyError if there is none."""
        return self.metrics[key][-1][1]
