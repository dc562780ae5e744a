"""What a run writes to, whatever is behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsFloat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

State = Literal["complete", "pruned", "failed", "infeasible"]
"""How a run ended."""

STATES: tuple[State, ...] = ("complete", "pruned", "failed", "infeasible")


@dataclass(frozen=True)
class Dataset:
    """Data that a run uses, as MLflow describes it. All values are plain."""

    name: str
    digest: str
    """The same for the same data, another for other data."""
    context: str
    """What it is used for: ``train``, ``val`` or ``test``."""
    source_type: str
    """``local`` for files, ``code`` for what a program makes."""
    source: Mapping[str, Any]
    profile: Mapping[str, Any] = field(default_factory=dict)
    """Its sizes."""
    schema: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """The record of one run, with MLflow's verbs.

    All calls are cheap and return at once; `flush` and `close` may wait. A
    tracker is used from one thread.
    """

    def log_params(self, params: Mapping[str, object]) -> None:
        """What the run was given. The first value of a key stays."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Labels of the run. The last value of a key stays."""

    def log_metrics(self, metrics: Mapping[str, SupportsFloat], step: int) -> None:
        """Values at optimiser step `step`; the first value of a (key, step) stays.

        A scalar tensor is kept as it is and read when it is flushed, so that a
        device is not waited for here: hand over one that is not written to again.
        """

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """A file to keep with the run, under `folder` in its artifacts."""

    def log_data(self, datasets: Iterable[Dataset]) -> None:
        """What the run learns from and is judged by."""

    def end(self, state: State) -> None:
        """The run is over. Metrics of a later test may still follow."""

    def flush(self) -> None:
        """Hand on all that was logged so far."""

    def close(self) -> None:
        """Flush and let go. Safe to call twice."""
