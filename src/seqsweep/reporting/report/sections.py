"""The sections of the page, as HTML; everything out of the data goes through `text`."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from seqsweep import __version__
from seqsweep.reporting import wording
from seqsweep.reporting.importance import METHOD
from seqsweep.reporting.report import figures, space_figures, timeline_figure
from seqsweep.reporting.report.figures import values_of
from seqsweep.reporting.report.terminal import trial_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import plotly.graph_objects as go

    from seqsweep.reporting.leaderboard import Row
    from seqsweep.reporting.report.gathering import StudyReport

FIRST_ROWS, MOST_CELLS = 25, 8000
_LONGEST_CELL = 200

Part = tuple[str, str, str]
"""A section's anchor, its heading and what is in it."""


def sections(report: StudyReport, drawn: list[go.Figure]) -> Iterator[str]:
    """The page's body; the figures in it are appended to `drawn`, and named by their place there."""
    parts = [part for make in _PARTS for part in make(report, drawn)]
    links = "".join(f'<a href="#{anchor}">{text(heading)}</a>' for anchor, heading, _ in parts)
    yield f"<header>{_head(report)}<nav>{links}</nav></header>\n<main>"
    for anchor, heading, inside in parts:
        yield f'<section id="{anchor}"><h2>{text(heading)}</h2>\n{inside}\n</section>'
    # not when it was written: of a study that is over the page stays the same to the letter
    as_of = f"As of {report.as_of.astimezone():%Y-%m-%d %H:%M %Z}. " if report.as_of else ""
    yield f'</main>\n<p class="soft">{text(f"{as_of}seqsweep {__version__}")}</p>'


def text(words: object, longest: int = _LONGEST_CELL) -> str:
    """Words out of the data as HTML that says just these, shortened where they are too many."""
    whole = str(words)
    return html.escape(whole if len(whole) <= longest else f"{whole[: longest - 1]}…")


# ---------------------------------------------------------------- head and table


def _head(report: StudyReport) -> str:
    wanted = "" if report.n_trials is None else f" of {report.n_trials}"
    ended = sum(count for state, count in report.counts.items() if state not in {"running", "waiting"})
    facts = {"trials": f"{ended}{wanted}", **{state: str(count) for state, count in report.counts.items()}}
    if report.best:
        for metric, value in zip(report.metrics, report.best.values, strict=False):
            facts[f"best {metric}" if len(report.metrics) == 1 else metric] = wording.number(value)
        facts["by trial"] = str(report.best.trial)
    facts |= {key: wording.number(value) for key, value in report.test.items()}
    if report.timeline.spans:
        facts["time"] = wording.duration(report.timeline.elapsed(float("inf")))
    if report.timeline.recorded and report.timeline.busy is not None:
        facts["slots busy"] = f"{report.timeline.busy:.0%}"
    items = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>" for key, value in facts.items())
    goal = ", ".join(f"{d} {m}" for d, m in zip(report.directions, report.metrics, strict=True))
    under = f'<p class="soft">{text(report.status)} · {text(goal)}</p>'
    return f'<h1>{text(report.name)}</h1>{under}<dl class="facts">{items}</dl>'


def _leaderboard(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if not report.rows:
        yield "leaderboard", "Leaderboard", "<p>No trials yet.</p>"
        return
    names = report.searched
    headings = ["trial", "state", *report.metrics, *wording.short_names(names).values(), "time"]
    numeric = {0, *range(2, 2 + len(report.metrics)), len(headings) - 1}
    numeric |= {2 + len(report.metrics) + i for i, name in enumerate(names) if _numbers(report.rows, name)}
    cells = "".join(
        f'<th scope="col"{_numeric(i in numeric)}><button type="button">{text(heading, 60)}</button></th>'
        for i, heading in enumerate(headings)
    )
    shown = report.rows[: max(MOST_CELLS // len(headings), FIRST_ROWS)]
    rows = "".join(_row(report, row, names, numeric, place >= FIRST_ROWS) for place, row in enumerate(shown))
    more = (
        f'<button type="button" class="all">Show all {len(shown)}</button>' if len(shown) > FIRST_ROWS else ""
    )
    left = len(report.rows) - len(shown)
    rest = f'<p class="soft">{left} more trials are not listed.</p>' if left else ""
    fixed = _fixed(report.rows, names)
    same = f'<p class="soft">The same in all trials: {text(fixed, 400)}</p>' if fixed else ""
    yield (
        "leaderboard",
        "Leaderboard",
        f'<div class="scroll"><table class="sortable"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody>'
        f"</table></div>{more}{rest}{same}",
    )


def _row(report: StudyReport, row: Row, names: Sequence[str], numeric: set[int], more: bool) -> str:
    values = [*values_of(row), *[None] * len(report.metrics)][: len(report.metrics)]
    cells = [str(row.trial), row.state, *map(_value, values), *(_value(row.params.get(n, "")) for n in names)]
    cells.append("-" if row.seconds is None else wording.duration(row.seconds))
    inside = "".join(f"<td{_numeric(i in numeric)}>{text(words)}</td>" for i, words in enumerate(cells))
    classes = " ".join(["best"] * row.leads + ["more"] * more)
    return f'<tr class="{classes}">{inside}</tr>' if classes else f"<tr>{inside}</tr>"


def _value(value: object) -> str:
    return "-" if value is None else wording.number(value)


def _numbers(rows: Iterable[Row], name: str) -> bool:
    values = [row.params[name] for row in rows if name in row.params]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _numeric(yes: bool) -> str:
    return ' class="n"' if yes else ""


def _fixed(rows: Sequence[Row], varying: Sequence[str]) -> str:
    names = dict.fromkeys(name for row in rows for name in row.params if name not in varying)
    return wording.parameters(
        {name: next(row.params[name] for row in rows if name in row.params) for name in names}
    )


# ---------------------------------------------------------------- what follows


def _next(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    items = "".join(f"<li>{text(each.text, 600)}</li>" for each in report.advice)
    yield "next", "What to try next", f"<ul>{items}</ul>"


def _failures(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if not report.failures:
        return
    items = []
    for failure in report.failures[:30]:
        reason = wording.first_line(failure.text) or "no reason stored"
        head = f"<b>{len(failure.trials)} {text(failure.state)}</b>: {text(reason, 300)}"
        which = f'<p class="soft">{text(trial_numbers(failure.trials))}</p>'
        items.append(
            f"<details><summary>{head}</summary>{which}<pre>{text(failure.text, 10_000)}</pre></details>"
        )
    left = len(report.failures) - len(items)
    rest = f"<p>{left} more kinds of failure are not listed.</p>" if left else ""
    yield "failures", "What failed and why", "".join(items) + rest


def _history(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if report.complete or report.counts["pruned"]:
        plots = [figures.history(report, objective) for objective in range(len(report.metrics))]
        yield "history", "Optimisation history", "".join(_plot(plot, drawn) for plot in plots) + _odd(report)


def _odd(report: StudyReport) -> str:
    """A word on values that no axis can show."""
    odd = [row.trial for row in report.complete if not all(map(math.isfinite, row.values))]
    if not odd:
        return ""
    return _note(f"Values that are not finite are in no figure: {trial_numbers(tuple(sorted(odd)))}.")


def _importance(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if not report.importance:
        return
    several = "near the Pareto front " if len(report.metrics) > 1 else ""
    note = _note(
        f"{METHOD}: how far the values of the best trials {several}are distributed otherwise than those of "
        f"all {len(report.complete)} complete ones. With few trials it is a hint, not a measurement."
    )
    yield "importance", "What mattered", _plot(figures.importances(report), drawn) + note


def _slices(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if plots := space_figures.slices(report):
        inside = "".join(_plot(plot, drawn) for plot in plots)
        note = _note("Each complete trial's value over one parameter; the darker, the later the trial.")
        yield "slices", "Slices", f'{note}<div class="small">{inside}</div>'


def _parallel(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if plot := space_figures.parallel(report):
        note = _note(
            f"A line a complete trial; the darker, the better its {report.metrics[0]}; the best one in "
            "orange-red. The parameters that mattered most are on the left; a line runs below an axis where "
            "the trial lacks the parameter."
        )
        yield "parallel", "Parallel coordinates", f'{note}<div class="scroll wide">{_plot(plot, drawn)}</div>'


def _front(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if len(report.metrics) > 1 and report.complete:
        note = _note("The front: no other trial is better in one objective without being worse in another.")
        yield "front", "Pareto front", note + "".join(_plot(plot, drawn) for plot in figures.fronts(report))


def _curves(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    if plot := figures.curves(report):
        yield "curves", "Learning curves", _plot(plot, drawn)


def _timeline(report: StudyReport, drawn: list[go.Figure]) -> Iterator[Part]:
    plot = timeline_figure.timeline(report)
    if plot is None:
        return
    busy = (
        ""
        if report.timeline.busy is None
        else f"{report.timeline.busy:.1%} of the slots' time was busy; white is idle. "
    )
    as_one = max(report.timeline.seats.values(), default=1) > 1
    together = "Bars above each other in a slot were trained as one. " if as_one else ""
    words = (
        f"A bar an attempt at a trial. {together}{busy}"
        "Pauses of more than a minute between commands are left out."
    )
    if not report.timeline.recorded:
        words = "The store does not say where the trials ran: those that overlap are in rows of their own."
    yield (
        "timeline",
        "Who ran where, and when",
        _note(words) + f'<div class="scroll wide">{_plot(plot, drawn)}</div>',
    )


def _note(words: str) -> str:
    return f'<p class="soft">{text(words, 1000)}</p>'


def _plot(plot: go.Figure, drawn: list[go.Figure]) -> str:
    drawn.append(plot)
    return f'<div class="plot" data-figure="{len(drawn) - 1}"></div>'


_PARTS: tuple[Callable[[StudyReport, list[go.Figure]], Iterator[Part]], ...] = (
    _leaderboard,
    _next,
    _history,
    _importance,
    _parallel,
    _slices,
    _front,
    _curves,
    _timeline,
    _failures,
)
