"""The figures about the space: slices and parallel coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from seqsweep.reporting import wording
from seqsweep.reporting.report.figures import pointed_at
from seqsweep.reporting.report.style import (
    INK,
    SCALE,
    VERMILLION,
    axis,
    figure,
    safe,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from optuna.distributions import BaseDistribution

    from seqsweep.reporting.leaderboard import Row
    from seqsweep.reporting.report.gathering import StudyReport

MOST_SLICES, MOST_AXES, MOST_LINES = 12, 8, 400
_BANDS = 7
"""Into so many colours the lines of the parallel coordinates are put."""
_MOST_CHOICES = 24
_FEW = 200
"""More points than these are drawn smaller."""


@dataclass(frozen=True)
class Scale:
    """Where values lie on an axis, from 0 to 1, and its ticks."""

    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @classmethod
    def of(cls, distribution: BaseDistribution) -> Scale:
        """The axis of a parameter."""
        if isinstance(distribution, CategoricalDistribution):
            return cls(tuple(map(repr, distribution.choices)))
        return cls((), float(distribution.low), float(distribution.high), distribution.log)  # type: ignore[attr-defined]

    @classmethod
    def over(cls, values: Sequence[float], direction: str) -> Scale:
        """The axis of an objective, in which a few runaway values do not flatten the others."""
        low, high = window(values, direction) or (min(values), max(values))
        return cls((), low, high)

    def place(self, value: Any, jitter: float = 0.0) -> float:
        """Where a value lies; choices are moved a little, that many lines at one place can be told apart."""
        if self.choices:
            count = len(self.choices)
            return (self.choices.index(repr(value)) + 0.5 + 0.5 * jitter) / count
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Places and what is written there."""
        if self.choices:
            count = len(self.choices)
            stride = math.ceil(count / _MOST_CHOICES)
            return [
                ((index + 0.5) / count, safe(self.choices[index].strip("'\""), 14))
                for index in range(0, count, stride)
            ]
        places = (0.0, 0.5, 1.0) if self.high > self.low else (0.5,)
        return [(place, safe(wording.number(self._value(place), 3))) for place in places]

    def _value(self, place: float) -> float:
        if self.log:
            return math.exp(math.log(self.low) + place * math.log(self.high / self.low))
        return self.low + place * (self.high - self.low)


def slices(report: StudyReport) -> list[go.Figure]:
    """A small figure for each parameter and objective: the trials' values over the parameter's."""
    names = report.searched[: max(1, MOST_SLICES // len(report.metrics))]
    return [
        _slice(report, name, objective)
        for objective in range(min(len(report.metrics), MOST_SLICES))
        for name in names
        if _rows(report, name)
    ]


def _rows(report: StudyReport, name: str) -> list[Row]:
    return [row for row in report.complete if name in row.params and all(map(math.isfinite, row.values))]


def _slice(report: StudyReport, name: str, objective: int) -> go.Figure:
    import plotly.graph_objects as go

    rows = _rows(report, name)
    distribution = report.distributions[name]
    choice = isinstance(distribution, CategoricalDistribution)
    points = go.Scatter(
        x=[_across(distribution, row, name) for row in rows],
        y=[row.values[objective] for row in rows],
        mode="markers",
        marker={
            "color": [row.trial for row in rows],
            "colorscale": SCALE,
            "reversescale": True,
            "size": 7 if len(rows) <= _FEW else 5,
            "opacity": 0.85,
            "line": {"width": 0.4 if len(rows) <= _FEW else 0, "color": INK},
        },
        **pointed_at(rows),
    )
    made = figure(
        [points],
        height=280,
        xaxis=axis(safe(name, 34)),
        yaxis=axis(safe(report.metrics[objective], 26)),
        margin={"l": 56, "r": 10, "t": 12, "b": 48},
        showlegend=False,
    )
    if choice:
        labels = [safe(wording.number(value, 3), 14) for value in distribution.choices]  # type: ignore[attr-defined]
        made.update_xaxes(
            tickvals=list(range(len(labels))),
            ticktext=labels,
            range=[-0.6, len(labels) - 0.4],
            showgrid=False,
        )
    elif distribution.log:  # type: ignore[attr-defined]
        made.update_xaxes(type="log", **_round_numbers([row.params[name] for row in rows]))
    values = [row.values[objective] for row in rows]
    return made.update_yaxes(range=window(values, report.directions[objective]))


def _round_numbers(values: Sequence[float]) -> dict[str, list[Any]]:
    """Ticks of a logarithmic axis: powers of ten, with their double and fivefold if they are few."""
    low, high = min(values), max(values)
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    steps = (1, 2, 5) if high < 100 * low else (1,)
    thin = math.ceil(len(powers) / 6)
    ticks = [step * power for power in powers[::thin] for step in steps]
    return {"tickvals": ticks, "ticktext": [wording.number(tick, 3) for tick in ticks]}


def _across(distribution: BaseDistribution, row: Row, name: str) -> float:
    """Where a trial stands; those of one choice side by side."""
    if isinstance(distribution, CategoricalDistribution):
        return round(
            Scale.of(distribution).choices.index(repr(row.params[name])) + 0.5 * _jitter(row.trial), 3
        )
    return float(row.params[name])


def _jitter(trial: int) -> float:
    """Between -0.5 and 0.5, spread evenly, the same each time."""
    return (trial * 0.6180339887) % 1 - 0.5


def parallel(report: StudyReport) -> go.Figure | None:
    """A line a trial across one axis a parameter, coloured by its rank; the best one stands out."""
    rows = [row for row in report.complete if all(map(math.isfinite, row.values))]
    names = report.searched[: MOST_AXES - 1]
    if len(rows) < 2 or not names:
        return None
    rows = _thinned(rows)
    scales = [Scale.of(report.distributions[name]) for name in names]
    scales.append(Scale.over([row.values[0] for row in rows], report.directions[0]))
    ticks = [(place, *tick) for place, scale in enumerate(scales) for tick in scale.ticks()]
    titles = [*(safe(name, 22) for name in names), f"<b>{safe(report.metrics[0], 22)}</b>"]
    lowest = -0.14 if any(name not in row.params for row in rows for name in names) else -0.05
    return figure(
        list(_bands(report, rows, names, scales)),
        height=440, showlegend=False, margin={"l": 24, "r": 24, "t": 24, "b": 64},
        shapes=[
            {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": {"color": INK, "width": 1}}
            for x in range(len(scales))
        ],
        annotations=[
            {
                "x": place, "y": height, "text": text, "showarrow": False, "xanchor": "left", "xshift": 4,
                "font": {"size": 11}, "bgcolor": "rgba(255,255,255,0.8)", "borderpad": 1,
            }
            for place, height, text in ticks
        ],
        xaxis={
            "tickvals": list(range(len(titles))), "ticktext": [_broken(title) for title in titles],
            "showgrid": False, "showline": False, "ticks": "", "tickangle": 0, "fixedrange": True,
            "range": [-0.15, len(titles) - 0.45],
        },
        yaxis={"visible": False, "range": [lowest, 1.04], "fixedrange": True},
    )  # fmt: skip


def _broken(title: str) -> str:
    """A dotted name on two lines."""
    first, dot, last = title.rpartition(".")
    return f"{first}{dot}<br>{last}" if dot else title


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """The best hundred, and of the others as many as can be seen."""
    if len(rows) <= MOST_LINES:
        return list(rows)
    first, rest = rows[:100], rows[100:]
    return [*first, *rest[:: math.ceil(len(rest) / (MOST_LINES - 100))]]


def _bands(
    report: StudyReport, rows: Sequence[Row], names: Sequence[str], scales: Sequence[Scale]
) -> list[go.Scatter]:
    """The lines, one trace a colour, the worst first; the best one by itself on top."""
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    colours = sample_colorscale(SCALE, [1 - band / (_BANDS - 1) for band in range(_BANDS)])
    ranked = sorted(rows, key=lambda row: row.values[0], reverse=report.directions[0] == "minimize")
    traces = []
    for band, chosen in enumerate(np.array_split(np.arange(len(ranked)), _BANDS)):
        lines = [_line(ranked[index], names, scales) for index in chosen]
        if lines:
            traces.append(_trace(go, lines, {"color": colours[band], "width": 1.1}, 0.55))
    if report.best:
        traces.append(_trace(go, [_line(report.best, names, scales)], {"color": VERMILLION, "width": 3}, 1))
    return traces


def _line(row: Row, names: Sequence[str], scales: Sequence[Scale]) -> list[float]:
    """The heights at each axis; below them all where the trial lacks the parameter."""
    jitter = _jitter(row.trial)
    places = [
        scale.place(row.params[name], jitter) if name in row.params else -0.1
        for name, scale in zip(names, scales, strict=False)
    ]
    return [round(place, 4) for place in (*places, scales[-1].place(row.values[0]))]


def _trace(go: Any, lines: Sequence[Sequence[float]], line: dict[str, Any], opacity: float) -> go.Scatter:
    across = list(range(len(lines[0])))
    return go.Scatter(
        x=[place for _ in lines for place in (*across, None)],
        y=[height for heights in lines for height in (*heights, None)],
        mode="lines",
        line=line,
        opacity=opacity,
        hoverinfo="skip",
    )
