"""The trials of a study, best first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seqsweep.reporting import wording

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import optuna
    from rich.console import Console
    from rich.table import Table

_ORDER = ("complete", "pruned", "infeasible", "failed", "running", "waiting")
_NAMES = {"FAIL": "failed"}


@dataclass(frozen=True)
class Row:
    """One trial, as our tables show it."""

    trial: int
    state: str
    """complete, pruned, infeasible, failed, running or waiting"""
    value: float | None = None
    """By the first objective; a pruned trial's is its best until then."""
    params: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    text: str = ""
    """Why it failed or was infeasible."""
    values: tuple[float, ...] = ()
    """One an objective, of a complete trial."""
    leads: bool = False
    """Whether no other trial beats it in all objectives."""


def leaderboard(study: optuna.Study) -> list[Row]:
    """All trials of `study`: complete ones first, best first, then the others by state and value.

    With several objectives the trials of the Pareto front come first, and all are in
    the order of the first objective.
    """
    from optuna.study import StudyDirection

    sign = -1.0 if study.directions[0] == StudyDirection.MAXIMIZE else 1.0
    trials = study.get_trials(deepcopy=False)
    if len(study.directions) > 1:
        front = {trial.number for trial in study.best_trials}
    else:  # equals share the front; the first of them leads. Optuna would copy all trials
        front = _first_of_the_best(trials, sign)
    return sorted((_row(trial, front) for trial in trials), key=lambda row: _rank(row, sign))


def _first_of_the_best(trials: Sequence[optuna.trial.FrozenTrial], sign: float) -> set[int]:
    complete = (trial for trial in trials if trial.state.name == "COMPLETE")
    allowed = [trial for trial in complete if all(value <= 0 for value in trial.constraints.values())]
    best = min(allowed, key=lambda trial: (sign * trial.values[0], trial.number), default=None)
    return set() if best is None else {best.number}


def varying(rows: Sequence[Row]) -> list[str]:
    """The parameters that differ between trials, in order of appearance; all of them if none does."""
    names = list(dict.fromkeys(name for row in rows for name in row.params))
    differing = [name for name in names if len({repr(row.params.get(name)) for row in rows}) > 1]
    return differing or names


def leaderboard_table(
    rows: Sequence[Row], metrics: Sequence[str], width: int, most: int | None = None
) -> Table:
    """A table of the first `most` rows; where `width` is short the parameters share one column."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    shown = rows[:most]
    columns, lines = _apart(shown, metrics, varying(rows))
    if _needed(columns, lines) > width:
        columns, lines = _together(shown, metrics, varying(rows))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name, cells in zip(columns, zip(*lines, strict=True), strict=True):
        words = any(cell[:1].isalpha() for cell in cells)
        table.add_column(
            escape(name), justify="left" if words else "right", no_wrap=name != "parameters", overflow="fold"
        )
    for row, line in zip(shown, lines, strict=True):
        table.add_row(*map(escape, line), style="bold" if row.leads else None)
    return table


def _apart(
    rows: Sequence[Row], metrics: Sequence[str], names: list[str]
) -> tuple[list[str], list[list[str]]]:
    """Headings and cells with a column a parameter."""
    short = wording.short_names(names)
    columns = ["#", "state", *metrics, *(short[name] for name in names), "time"]
    return columns, [
        [*_head(row, metrics), *(_cell(row, name) for name in names), _seconds(row)] for row in rows
    ]


def _together(
    rows: Sequence[Row], metrics: Sequence[str], names: list[str]
) -> tuple[list[str], list[list[str]]]:
    """Headings and cells with one column for all parameters."""
    short = wording.short_names(names)
    own = [{name: row.params[name] for name in names if name in row.params} for row in rows]
    lines = [
        [*_head(row, metrics), wording.parameters(params, short), _seconds(row)]
        for row, params in zip(rows, own, strict=True)
    ]
    return ["#", "state", *metrics, "parameters", "time"], lines


def _head(row: Row, metrics: Sequence[str]) -> list[str]:
    values = row.values if len(metrics) > 1 else (row.value,)
    numbers = ["-" if value is None else wording.number(value) for value in values]
    return [str(row.trial), row.state, *(numbers or ["-"] * len(metrics))]


def _cell(row: Row, name: str) -> str:
    return wording.number(row.params[name], 3) if name in row.params else ""


def print_leaderboard(
    rows: Sequence[Row], metrics: Sequence[str], console: Console | None = None, most: int | None = 30
) -> None:
    """The table of the best `most` trials, how many more there are, the front, what the failed ones said."""
    from rich.console import Console

    console = console or Console()
    if not rows:
        console.print("no trials yet")
        return
    console.print(leaderboard_table(rows, metrics, console.width, most))
    if most is not None and len(rows) > most:
        console.print(f"... and {len(rows) - most} more")
    if len(metrics) > 1:
        front = ", ".join(str(row.trial) for row in rows if row.leads)
        console.print(f"Pareto front: trials {front or 'none'}", highlight=False)
    for row in rows:
        if row.text and row.state in {"failed", "infeasible"}:
            line = f"trial {row.trial} {row.state}: {wording.first_line(row.text)}"
            console.print(line, markup=False, highlight=False)


def _row(trial: optuna.trial.FrozenTrial, front: Container[int]) -> Row:
    attributes = trial.user_attrs
    state = str(attributes.get("seqsweep.state") or _NAMES.get(trial.state.name, trial.state.name.lower()))
    return Row(
        trial=trial.number,
        state=state,
        value=_value(trial, state),
        params=dict(trial.params),
        seconds=_duration(trial),
        text=str(attributes.get("seqsweep.error", "")),
        values=tuple(trial.values or ()) if state == "complete" else (),
        leads=trial.number in front,
    )


def _value(trial: optuna.trial.FrozenTrial, state: str) -> float | None:
    if state == "complete":
        return trial.values[0] if trial.values else None
    best = trial.user_attrs.get("seqsweep.best")
    if best is None and state == "pruned" and trial.values:
        best = trial.values[0]
    return None if best is None else float(best)


def _duration(trial: optuna.trial.FrozenTrial) -> float | None:
    if (seconds := trial.user_attrs.get("seqsweep.seconds")) is not None:
        return float(seconds)
    return trial.duration.total_seconds() if trial.duration else None


def _rank(row: Row, sign: float) -> tuple[int, bool, bool, float, int]:
    unknown = row.value is None or math.isnan(row.value)
    value = 0.0 if row.value is None or unknown else sign * row.value
    place = _ORDER.index(row.state) if row.state in _ORDER else len(_ORDER)
    return place, not row.leads, unknown, value, row.trial


def _seconds(row: Row) -> str:
    return "-" if row.seconds is None else wording.duration(row.seconds)


def _needed(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    widths = [max(len(text) for text in column) for column in zip(columns, *lines, strict=True)]
    return sum(widths) + 2 * (len(widths) - 1)
