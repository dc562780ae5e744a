"""The report on a terminal, and as one JSON document."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from seqsweep.reporting import wording
from seqsweep.reporting.importance import METHOD
from seqsweep.reporting.leaderboard import leaderboard_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from seqsweep.reporting.report.gathering import StudyReport

_MOST_ROWS = 20
_BAR = 24
_MOST_NAMED = 8


def print_report(report: StudyReport, console: Console) -> None:
    """Leaderboard, importance, counts, what failed and why, what to try next."""
    _heading(console, summary_line(report))
    if not report.rows:
        console.print("no trials yet")
        return
    console.print(leaderboard_table(report.rows, report.metrics, console.width, _MOST_ROWS))
    if len(report.rows) > _MOST_ROWS:
        _line(console, f"... and {len(report.rows) - _MOST_ROWS} more")
    if len(report.metrics) > 1:
        front = ", ".join(str(row.trial) for row in report.rows if row.leads)
        _line(console, f"Pareto front: trials {front or 'none'}")
    _importance(report, console)
    _failures(report, console)
    if report.timeline.busy is not None and report.timeline.recorded:
        _heading(console, f"slots busy: {report.timeline.busy:.0%}")
    _heading(console, "what to try next")
    for advice in report.advice:
        _line(console, f"- {advice.text}")


def summary_line(report: StudyReport) -> str:
    """``digits, finished: 24 of 24 trials, 20 complete, 4 pruned; best val/accuracy 0.98 (trial 7)``."""
    wanted = "" if report.n_trials is None else f" of {report.n_trials}"
    counts = "".join(f", {count} {state}" for state, count in report.counts.items())
    best = report.best
    value = (
        ""
        if best is None
        else f"; best {report.metrics[0]} {wording.number(best.value)} (trial {best.trial})"
    )
    ended = sum(count for state, count in report.counts.items() if state not in {"running", "waiting"})
    return f"{report.name}, {report.status}: {ended}{wanted} trials{counts}{value}"


def trial_numbers(trials: tuple[int, ...]) -> str:
    """``trial 3`` or ``trials 3, 5, 8 and 12 more``."""
    named = ", ".join(map(str, trials[:_MOST_NAMED]))
    more = f" and {len(trials) - _MOST_NAMED} more" if len(trials) > _MOST_NAMED else ""
    return f"trial{'s' * (len(trials) > 1)} {named}{more}"


def _importance(report: StudyReport, console: Console) -> None:
    if not report.importance:
        return
    _heading(console, f"importance ({METHOD})")
    width = max(map(len, report.importance))
    for name, share in report.importance.items():
        _line(console, f"{name:<{width}}  {share:>4.0%}  {'█' * round(share * _BAR)}")


def _failures(report: StudyReport, console: Console) -> None:
    if not report.failures:
        return
    _heading(console, "what failed and why")
    for failure in report.failures[:10]:
        reason = wording.first_line(failure.text) or "no reason stored"
        _line(
            console,
            f"{len(failure.trials)} {failure.state}: {reason[:300]} ({trial_numbers(failure.trials)})",
        )


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(_printable(text), style="bold", markup=False, highlight=False, soft_wrap=True)


def _line(console: Console, text: str) -> None:
    console.print(_printable(text), markup=False, highlight=False, soft_wrap=True)


def _printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def document(report: StudyReport, page: Path | None) -> dict[str, Any]:
    """All of it as plain data that JSON can hold; numbers that it cannot are strings."""
    busy = report.timeline.busy if report.timeline.recorded else None
    plain: dict[str, Any] = {
        "name": report.name,
        "status": report.status,
        "n_trials": report.n_trials,
        "counts": dict(report.counts),
        "metrics": list(report.metrics),
        "directions": list(report.directions),
        "best_trial": report.best.trial if report.best else None,
        "front": [row.trial for row in report.rows if row.leads],
        "importance": {"method": METHOD, "shares": dict(report.importance)},
        "advice": [
            {"kind": each.kind, "parameters": list(each.parameters), "text": each.text}
            for each in report.advice
        ],
        "failures": [
            {"state": each.state, "text": each.text, "trials": list(each.trials)} for each in report.failures
        ],
        "busy": busy,
        "test": dict(report.test),
        "trials": [
            {
                "trial": row.trial,
                "state": row.state,
                "value": row.value,
                "values": list(row.values),
                "params": row.params,
                "seconds": row.seconds,
            }
            for row in report.rows
        ],
        "page": str(page) if page else None,
    }
    document: dict[str, Any] = _finite(plain)
    return document


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
