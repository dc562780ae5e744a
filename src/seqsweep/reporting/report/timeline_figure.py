"""The figure of who ran where and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqsweep.reporting import wording
from seqsweep.reporting.report.style import COLOURS, GREY, axis, figure, hover, safe

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from seqsweep.reporting.report.gathering import StudyReport
    from seqsweep.reporting.report.timeline import Attempt, Timeline

_UNITS = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (180.0, 60.0, "minutes"))
_MOST_LANES = 64
_MOST_NAMED = 60
"""Up to so many bars have a border, and bear their trial's number."""
_ROW = 34
"""Height of a lane in pixels; one of several seats is higher, as much as `_MOST_ROWS` of them."""
_MOST_ROWS = 6.0
_LEGIBLE = 9.0
"""Height in pixels of a bar that can bear a number."""


@dataclass(frozen=True)
class _Lane:
    """Where a lane is in the figure, its y counted in rows from the top."""

    top: float
    height: float
    seats: int

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def bar(self) -> float:
        """What one of its bars has of its height."""
        return 0.75 * self.height / self.seats

    def place(self, seat: int) -> float:
        """The middle of that seat's bars."""
        return self.top + 0.125 * self.height + (seat + 0.5) * self.bar


def _lanes(shown: Timeline) -> dict[str, _Lane]:
    lanes: dict[str, _Lane] = {}
    top = -0.5
    for name, seats in list(shown.seats.items())[:_MOST_LANES]:
        lanes[name] = _Lane(top, min(max(1.0, 0.55 * seats), _MOST_ROWS), seats)
        top += lanes[name].height
    return lanes


def timeline(report: StudyReport) -> go.Figure | None:
    """A bar an attempt, a row a slot, in it bars above each other for what ran as one; white was idle."""
    import plotly.graph_objects as go

    shown = report.timeline
    if not shown.attempts:
        return None
    whole = shown.elapsed(float("inf"))
    unit, word = _unit(whole)
    lanes = _lanes(shown)
    rows = sum(lane.height for lane in lanes.values())
    states = [state for state in COLOURS if any(each.how == state for each in shown.attempts)]
    few = len(shown.attempts) <= _MOST_NAMED
    legible = few and all(_ROW * lane.bar >= _LEGIBLE for lane in lanes.values())
    traces = []
    for state in states:
        chosen = [each for each in shown.attempts if each.how == state and each.lane in lanes]
        begins = [shown.elapsed(each.begin) / unit for each in chosen]
        traces.append(
            go.Bar(
                base=[round(begin, 4) for begin in begins],
                x=[round((each.end - each.begin) / unit, 4) for each in chosen],
                y=[lanes[each.lane].place(each.seat) for each in chosen],
                width=[lanes[each.lane].bar for each in chosen],
                orientation="h",
                name=safe(state),
                marker={"color": COLOURS[state], "line": {"color": "white", "width": 0.6 if few else 0}},
                text=[str(each.trial) for each in chosen],
                textposition="inside" if legible else "none",
                insidetextanchor="middle",
                textangle=0,
                hovertext=[_about(each) for each in chosen],
                hoverinfo="text",
            )
        )
    made = figure(
        traces,
        height=round(120 + _ROW * rows),
        barmode="overlay",
        showlegend=True,
        xaxis=axis(f"{word} since the study began", range=[0, whole / unit]),
        yaxis={
            "tickvals": [lane.middle for lane in lanes.values()], "ticktext": [safe(lane) for lane in lanes],
            "range": [rows - 0.4, -0.6], "showgrid": False, "ticks": "",
        },
    )  # fmt: skip
    return _with_breaks(made, shown, unit)


def _with_breaks(made: go.Figure, shown: Timeline, unit: float) -> go.Figure:
    """A dotted line where a pause is left out."""
    for (_, before), (begin, _) in zip(shown.spans, shown.spans[1:], strict=False):
        label: dict[str, Any] = {"text": f"{wording.duration(begin - before)} pause", "font": {"size": 10}}
        line = {"color": GREY, "width": 1, "dash": "dot"}
        made.add_vline(x=shown.elapsed(begin) / unit, line=line, label=label)
    return made


def _about(attempt: Attempt) -> str:
    again = f", attempt {attempt.attempt}" if attempt.attempt > 1 else ""
    took = wording.duration(attempt.end - attempt.begin)
    return hover(
        [f"<b>trial {attempt.trial}</b>{again}", f"{safe(attempt.how)} after {took}", safe(attempt.lane)]
    )


def _unit(seconds: float) -> tuple[float, str]:
    """What the axis counts in."""
    for least, unit, word in _UNITS:
        if seconds >= least:
            return unit, word
    return 1.0, "seconds"
