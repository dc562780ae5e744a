"""How every figure of the report looks, in one place."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

# Okabe and Ito, "Color Universal Design", 2008: told apart with every kind of colour vision.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#8A8F98"

COLOURS = {
    "complete": BLUE,
    "pruned": ORANGE,
    "infeasible": PURPLE,
    "failed": VERMILLION,
    "interrupted": SKY,
    "crowded": SKY,
    "lost": BLACK,
    "cut off": BLACK,
    "running": GREEN,
}
SYMBOLS = {"complete": "circle", "pruned": "triangle-down-open"}
"""Shapes, so that nothing is told by its colour alone."""
SCALE = "Cividis"
FONTS = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
INK, FAINT = "#1f2430", "#e3e6ea"

_LONGEST = 40


def safe(text: object, longest: int = _LONGEST) -> str:
    """Text out of the data for a figure: plotly reads tags in whatever it writes."""
    words = str(text)
    short = words if len(words) <= longest else f"{words[: longest - 1]}…"
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)
    return html.escape(printable, quote=False)


def hover(lines: Sequence[str]) -> str:
    """What a point says under the pointer; every line is `safe` already."""
    return "<br>".join(lines)


def figure(traces: Sequence[Any], height: int = 380, **layout: Any) -> go.Figure:
    """A figure in our style."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": GREY,
        "showline": True,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "automargin": True,
    }
    ours = {
        "template": "none",
        "font": {"family": FONTS, "size": 13, "color": INK},
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 36, "b": 52},
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "white", "font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "bargap": 0.3,
        "xaxis": axis,
        "yaxis": axis,
    }
    # in one go: plotly takes ten times as long to change a layout as to take it in
    return go.Figure(list(traces), _over(ours, layout))


def _over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The first, and what the second says in place of it, or beside it."""
    return {
        **ours,
        **{
            key: _over(ours[key], value)
            if isinstance(value, dict) and isinstance(ours.get(key), dict)
            else value
            for key, value in theirs.items()
        },
    }


def axis(title: str, **rest: Any) -> dict[str, Any]:
    """An axis with its title."""
    return {"title": {"text": title, "standoff": 8}, **rest}


def window(values: Sequence[float], direction: str, far: float = 4) -> list[float] | None:
    """The range of an axis in which a few runaway values do not flatten all the others; None if none does.

    They are `far` times the distance of the quartiles away from these, on the worse side.
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) < 8:
        return None
    low, first, third, high = np.quantile(finite, [0, 0.25, 0.75, 1])
    reach = far * (third - first)
    if not reach:
        return None
    if direction == "maximize" and low < first - reach:
        low = first - reach
    elif direction == "minimize" and high > third + reach:
        high = third + reach
    else:
        return None
    room = 0.05 * (high - low)
    return [float(low - room), float(high + room)]
