"""StudyReport: all that the report says, read from the study's Optuna store alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.study import StudyDirection

from seqsweep.reporting import wording
from seqsweep.reporting.advice import Advice, advice
from seqsweep.reporting.importance import importance
from seqsweep.reporting.leaderboard import Row, leaderboard, varying
from seqsweep.reporting.report import timeline
from seqsweep.reporting.studies import summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Curve = tuple[tuple[int, float], ...]
"""(step, value) of one trial, by step."""

_LONGEST_TEXT = 4000
_MOST_POINTS = 200


@dataclass(frozen=True)
class Failure:
    """Trials that ended alike."""

    state: str
    """failed or infeasible"""
    text: str
    """What the first of them said, in full."""
    trials: tuple[int, ...]


@dataclass(frozen=True)
class StudyReport:
    """A study as its report shows it."""

    name: str
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    """minimize or maximize, one an objective"""
    status: str
    """running, finished or stopped"""
    n_trials: int | None
    rows: tuple[Row, ...]
    """All trials, best first."""
    distributions: Mapping[str, BaseDistribution]
    """What each parameter was last drawn from."""
    importance: Mapping[str, float]
    advice: tuple[Advice, ...]
    failures: tuple[Failure, ...]
    curves: Mapping[int, Curve]
    """What the trials reported on their way, by trial."""
    timeline: timeline.Timeline
    folder: Path | None
    test: Mapping[str, float] = field(default_factory=dict)
    """The best trial's values on the test data, where it was tested."""
    as_of: datetime | None = None
    """When something last happened in it."""

    @property
    def counts(self) -> Counter[str]:
        """How many trials there are in each state."""
        return Counter(row.state for row in self.rows)

    @property
    def complete(self) -> list[Row]:
        """The complete trials, best first."""
        return [row for row in self.rows if row.state == "complete"]

    @property
    def best(self) -> Row | None:
        """The best trial by the first objective, among equals the earliest."""
        known = [row for row in self.complete if row.value is not None and not math.isnan(row.value)]
        sign = -1.0 if self.directions[0] == "maximize" else 1.0
        return min(known, key=lambda row: (sign * (row.value or 0.0), row.trial), default=None)

    @property
    def searched(self) -> list[str]:
        """The parameters that differ between trials, those that mattered most first."""
        return sorted(varying(self.rows), key=lambda name: -self.importance.get(name, 0.0))


def gather(study: optuna.Study) -> StudyReport:
    """Read all of it; a study of a thousand trials takes a second or two."""
    rows = leaderboard(study)
    at_a_glance = summary(study, rows)
    trials = study.get_trials(deepcopy=False)
    weights = importance(study)
    directions = tuple(
        "maximize" if direction == StudyDirection.MAXIMIZE else "minimize" for direction in study.directions
    )
    return StudyReport(
        name=study.study_name,
        metrics=_metrics(at_a_glance.metrics, len(directions)),
        directions=directions,
        status=at_a_glance.status,
        n_trials=at_a_glance.n_trials,
        rows=tuple(rows),
        distributions=_distributions(trials),
        importance=weights,
        advice=tuple(advice(study, weights)),
        failures=tuple(_failures(rows)),
        curves={trial.number: _curve(trial) for trial in trials if trial.intermediate_values},
        timeline=timeline.read(study, trials),
        folder=at_a_glance.folder,
        test=_numbers(study.user_attrs.get("seqsweep.test")),
        as_of=at_a_glance.last_activity,
    )


def _metrics(stored: Sequence[str], count: int) -> tuple[str, ...]:
    """The objectives' names; a study of another program has none."""
    if len(stored) == count:
        return tuple(map(str, stored))
    return ("objective",) if count == 1 else tuple(f"objective_{place}" for place in range(count))


def _numbers(stored: Any) -> dict[str, float]:
    values = stored if isinstance(stored, dict) else {}
    return {str(key): float(value) for key, value in values.items() if isinstance(value, int | float)}


def _distributions(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    return {name: distribution for trial in trials for name, distribution in trial.distributions.items()}


def _failures(rows: Sequence[Row]) -> list[Failure]:
    """The trials that failed or were infeasible, those with the same first line together, most first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.trial):
        if row.state in {"failed", "infeasible"}:
            groups.setdefault((row.state, wording.first_line(row.text[:_LONGEST_TEXT])), []).append(row)
    failures = [
        Failure(state, _cut(alike[0].text.strip()), tuple(row.trial for row in alike))
        for (state, _), alike in groups.items()
    ]
    return sorted(failures, key=lambda failure: -len(failure.trials))


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    return f"{text[:_LONGEST_TEXT]}\n... ({len(text) - _LONGEST_TEXT:,} characters more)"


def _curve(trial: FrozenTrial) -> Curve:
    """Its reports, thinned where they are too many to see; the last one stays."""
    reports = sorted(trial.intermediate_values.items())
    stride = math.ceil(len(reports) / _MOST_POINTS)
    return (*reports[:-1:stride], *reports[-1:])
