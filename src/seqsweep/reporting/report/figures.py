"""The figures about values: history, importance, Pareto front, learning curves."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

from seqsweep.reporting import wording
from seqsweep.reporting.report.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    SYMBOLS,
    VERMILLION,
    axis,
    figure,
    hover,
    safe,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import plotly.graph_objects as go

    from seqsweep.reporting.leaderboard import Row
    from seqsweep.reporting.report.gathering import Curve, StudyReport

BEST_CURVES, PRUNED_CURVES = 10, 60
"""How many learning curves are drawn at most."""
_THICK = {"color": VERMILLION, "width": 3}


def values_of(row: Row) -> tuple[float, ...]:
    """A trial's values, as far as they are known: a pruned one has its best by the first objective."""
    return row.values or (() if row.value is None else (row.value,))


def pointed_at(rows: Iterable[Row]) -> dict[str, Any]:
    """Lets the points of these trials say under the pointer what the page holds once of each (`about`)."""
    return {"customdata": [row.trial for row in rows], "hoverinfo": "text"}


def about(row: Row, metrics: Sequence[str], names: Sequence[str]) -> str:
    """What a trial says under the pointer: its values and these parameters."""
    values = zip(metrics, values_of(row), strict=False)
    shown = [(name, row.params[name]) for name in names if name in row.params]
    return hover(
        [
            f"<b>trial {row.trial}</b>, {safe(row.state)}",
            *(f"{safe(metric)}: {safe(wording.number(value))}" for metric, value in values),
            *(f"{safe(name)}: {safe(wording.number(value, 3), 24)}" for name, value in shown),
        ]
    )


def history(report: StudyReport, objective: int) -> go.Figure:
    """Each trial's value by its number, and the best one until then."""
    import plotly.graph_objects as go

    direction, metric = report.directions[objective], report.metrics[objective]
    rows = [row for row in report.rows if _finite(row, objective)]
    traces = []
    for state in ("pruned", "complete"):
        chosen = [row for row in rows if row.state == state]
        if chosen:
            traces.append(
                go.Scatter(
                    x=[row.trial for row in chosen],
                    y=[values_of(row)[objective] for row in chosen],
                    mode="markers",
                    name=state if state == "complete" else "pruned, at its best",
                    marker={"color": COLOURS[state], "symbol": SYMBOLS[state], "size": 7, "opacity": 0.75},
                    **pointed_at(chosen),
                )
            )
    steps = list(_best_so_far([row for row in rows if row.state == "complete"], objective, direction))
    if steps:
        steps.append((max(row.trial for row in rows), steps[-1][1]))
        traces.append(
            go.Scatter(
                x=[trial for trial, _ in steps],
                y=[value for _, value in steps],
                mode="lines",
                name="best so far",
                line={"color": BLACK, "width": 2, "shape": "hv"},
                hoverinfo="skip",
            )
        )
    shown = [values_of(row)[objective] for row in rows]
    made = figure(traces, xaxis=axis("trial"), yaxis=axis(f"{safe(metric, 26)} ({direction})"))
    return made.update_yaxes(range=window(shown, direction))


def _finite(row: Row, objective: int) -> bool:
    values = values_of(row)
    return len(values) > objective and math.isfinite(values[objective])


def _best_so_far(rows: Iterable[Row], objective: int, direction: str) -> Iterator[tuple[int, float]]:
    sign = -1 if direction == "maximize" else 1
    best = math.inf
    for row in sorted(rows, key=lambda row: row.trial):
        if sign * row.values[objective] < best:
            best = sign * row.values[objective]
            yield row.trial, sign * best


def importances(report: StudyReport) -> go.Figure:
    """A bar a parameter, the largest on top."""
    import plotly.graph_objects as go

    shares = list(report.importance.items())[:20][::-1]
    bars = go.Bar(
        x=[100 * share for _, share in shares],
        y=list(range(len(shares))),
        orientation="h",
        marker={"color": BLUE},
        text=[f"{share:.0%}" for _, share in shares],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    names = {"tickvals": list(range(len(shares))), "ticktext": [safe(name, 28) for name, _ in shares]}
    return figure(
        [bars],
        height=96 + 30 * len(shares),
        xaxis=axis("share of the importance, %", range=[0, 1.12 * max(100 * share for _, share in shares)]),
        yaxis={**names, "showgrid": False, "ticks": ""},
    )


def fronts(report: StudyReport) -> list[go.Figure]:
    """The complete trials by every two of the objectives, those of the Pareto front marked."""
    return [_front(report, *pair) for pair in list(combinations(range(len(report.metrics)), 2))[:6]]


def _front(report: StudyReport, across: int, up: int) -> go.Figure:
    import plotly.graph_objects as go

    rows = [row for row in report.complete if all(map(math.isfinite, row.values))]
    groups = [
        ("beaten by another", [row for row in rows if not row.leads], GREY, "circle-open", 7),
        ("Pareto front", [row for row in rows if row.leads], VERMILLION, "diamond", 10),
    ]
    traces = [
        go.Scatter(
            x=[row.values[across] for row in chosen],
            y=[row.values[up] for row in chosen],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": size},
            **pointed_at(chosen),
        )
        for name, chosen, colour, symbol, size in groups
        if chosen
    ]
    if len(report.metrics) == 2 and len(groups[1][1]) > 1:
        traces.insert(0, _stairs([row.values for row in groups[1][1]], report.directions))
    made = figure(
        traces,
        height=420,
        xaxis=axis(f"{safe(report.metrics[across])} ({report.directions[across]})"),
        yaxis=axis(f"{safe(report.metrics[up])} ({report.directions[up]})"),
    )
    made.update_xaxes(range=window([row.values[across] for row in rows], report.directions[across]))
    return made.update_yaxes(range=window([row.values[up] for row in rows], report.directions[up]))


def _stairs(points: Sequence[Sequence[float]], directions: Sequence[str]) -> go.Scatter:
    """The border of what has been reached."""
    import plotly.graph_objects as go

    ordered = sorted(points, key=lambda point: point[0], reverse=directions[0] == "maximize")
    return go.Scatter(
        x=[point[0] for point in ordered],
        y=[point[1] for point in ordered],
        mode="lines",
        line={"color": VERMILLION, "width": 1.5, "shape": "hv", "dash": "dot"},
        showlegend=False,
        hoverinfo="skip",
    )


def curves(report: StudyReport) -> go.Figure | None:
    """What the best and the pruned trials reported on their way."""
    best = [row for row in report.complete if row.trial in report.curves][:BEST_CURVES]
    pruned = [row for row in report.rows if row.state == "pruned" and row.trial in report.curves]
    if not best and not pruned:
        return None
    every = max(1, math.ceil(len(pruned) / PRUNED_CURVES))
    traces = [
        *_lines(report, pruned[::every], "pruned", {"color": ORANGE, "width": 1, "dash": "dot"}),
        *_lines(report, best[1:], f"the best {len(best)}", {"color": BLUE, "width": 1.3}),
        *_lines(report, best[:1], f"trial {best[0].trial}, the best" if best else "", _THICK),
    ]
    values = [value for row in (*best, *pruned) for _, value in report.curves[row.trial]]
    made = figure(
        traces, height=420, xaxis=axis("step", rangemode="tozero"), yaxis=axis(safe(report.metrics[0]))
    )
    return made.update_yaxes(range=window(values, report.directions[0], far=10))


def _lines(report: StudyReport, rows: Sequence[Row], name: str, line: dict[str, Any]) -> list[go.Scatter]:
    """Curves of one kind as one trace, with a gap after each."""
    import plotly.graph_objects as go

    if not rows:
        return []
    points = [(row, point) for row in rows for point in (*_finite_points(report.curves[row.trial]), None)]
    return [
        go.Scatter(
            x=[point and point[0] for _, point in points],
            y=[point and point[1] for _, point in points],
            mode="lines" if any(len(report.curves[row.trial]) > 1 for row in rows) else "markers",
            name=name,
            line=line,
            text=[f"trial {row.trial}" for row, _ in points],
            hoverinfo="text+x+y",
            connectgaps=False,
        )
    ]


def _finite_points(curve: Curve) -> list[tuple[int, float | None]]:
    """With a gap where the value is no number."""
    return [(step, value if math.isfinite(value) else None) for step, value in curve]
