"""A run beside what was recorded of an earlier one: what it was made with, and its metrics, bit for bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqsweep.reporting import wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

ROUNDING = 1e-3
"""How far apart a metric of a trial may be alone and as one of a stack, which adds in another order."""
UNCOMPARED = "system/"
"""Metrics that say how long something took."""

LABELS = {
    "mlflow.source.git.commit": "commit",
    "seqsweep.git_dirty": "uncommitted changes",
    "seqsweep.git_diff": "uncommitted changes' digest",
    "seqsweep.threads": "threads",
    "seqsweep.device": "device",
}
"""Tags that a result may depend on, beside the versions."""
_VERSION = "seqsweep.version."


def differences(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What a result may depend on and is not as it was recorded, a line each, for the tags in `now`."""
    return [
        f"{label}: {recorded.get(key, 'not recorded')} -> {value}"
        for key, value in now.items()
        if (label := _label(key)) and recorded.get(key) != value
    ]


@dataclass(frozen=True)
class Compared:
    """One metric of the two runs."""

    metric: str
    steps: int
    """At how many steps both have a value, the same one or not."""
    different: int = 0
    """At how many they differ, or only one has a value."""
    step: int | None = None
    """The first of those."""
    recorded: float | None = None
    """There; None where there is none."""
    now: float | None = None
    furthest: float = 0.0
    """The largest difference, as a share of recorded values above 1; infinite where one is missing."""

    @property
    def same(self) -> bool:
        """Whether all values are the same, and at the same steps."""
        return not self.different

    def __str__(self) -> str:
        """The verdict on the metric in words."""
        if self.same:
            return "the same"
        if self.recorded is None:
            return f"step {self.step}: not recorded, {_exact(self.now)} now"
        if self.now is None:
            return f"step {self.step}: {_exact(self.recorded)} recorded, nothing now"
        apart = wording.number(self.now - self.recorded, 2)
        return f"from step {self.step}: {_exact(self.recorded)} recorded, {_exact(self.now)} now ({apart})"


def compare(
    recorded: Mapping[str, Mapping[int, float]],
    now: Mapping[str, Mapping[int, float]],
    *,
    until: int | None = None,
) -> list[Compared]:
    """Each recorded metric beside what it is now.

    Metrics that are only there now are left out: an earlier version did not log them.

    Args:
        recorded: values by step, by metric.
        now: the same.
        until: the last step that is looked at, where the recorded run was cut off; None for all.

    """
    return [
        _compare(metric, values, now.get(metric, {}), until)
        for metric, values in sorted(recorded.items())
        if not metric.startswith(UNCOMPARED)
    ]


def print_comparison(rows: Sequence[Compared], console: Console | None = None) -> None:
    """The table, the metrics that differ first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    table.add_column("steps", justify="right")
    table.add_column("beside the record", overflow="fold")
    for row in sorted(rows, key=lambda row: row.same):
        table.add_row(row.metric, str(row.steps), str(row), style=None if row.same else "bold")
    (console or Console()).print(table, markup=False, highlight=False)


def _compare(
    metric: str, recorded: Mapping[int, float], now: Mapping[int, float], until: int | None
) -> Compared:
    steps = sorted(step for step in recorded.keys() | now.keys() if until is None or step <= until)
    shared = sum(step in recorded and step in now for step in steps)
    apart = list(_apart(recorded, now, steps))
    if not apart:
        return Compared(metric, shared)
    first = apart[0]
    furthest = max(_distance(recorded.get(step), now.get(step)) for step in apart)
    return Compared(metric, shared, len(apart), first, recorded.get(first), now.get(first), furthest)


def _distance(recorded: float | None, now: float | None) -> float:
    if recorded is None or now is None or not math.isfinite(now - recorded):
        return math.inf
    return abs(now - recorded) / max(1.0, abs(recorded))


def _apart(recorded: Mapping[int, float], now: Mapping[int, float], steps: Sequence[int]) -> Iterator[int]:
    for step in steps:
        if step not in recorded or step not in now or not same(recorded[step], now[step]):
            yield step


def beside(recorded: float | None, now: float) -> str:
    """One value beside the recorded one, in words."""
    if recorded is None:
        return "not recorded"
    return "the same" if same(recorded, now) else f"{recorded:.6g} recorded"


def same(one: float, other: float) -> bool:
    """Whether two numbers are the same; not-a-number is itself here."""
    return one == other or (math.isnan(one) and math.isnan(other))


def _label(key: str) -> str | None:
    return key.removeprefix(_VERSION) if key.startswith(_VERSION) else LABELS.get(key)


def _exact(value: float | None) -> str:
    return repr(value)
