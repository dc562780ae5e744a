"""Figures of what a model does, made of plain arrays; for a run's record, and fit for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES = 40
"""Ticks that are still read; with more classes an axis is only numbered."""


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """How often a class was taken for which.

    Args:
        matrix: (true classes, predicted classes) counts.
        names: of the classes.

    """
    side = min(2.2 + 0.34 * len(names), 14)
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.04)
    if len(names) <= MOST_NAMES:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    if len(names) <= 20:
        for row, column in np.argwhere(matrix > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            count = f"{int(matrix[row, column])}"
            axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def scatter(predicted: np.ndarray, true: np.ndarray, names: Sequence[str]) -> Figure:
    """Predicted against true values, a panel a value.

    Args:
        predicted: (examples, values).
        true: (examples, values).
        names: of the values.

    """
    count = min(len(names), 6)
    figure = new_figure(3.6 * count, 3.6)
    for axes, name, ours, truth in zip(
        np.atleast_1d(figure.subplots(1, count)), names, predicted.T, true.T, strict=False
    ):
        ends = [min(ours.min(), truth.min()), max(ours.max(), truth.max())]
        axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        axes.scatter(truth, ours, s=10, alpha=0.6, linewidths=0)
        axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        axes.set_box_aspect(1)
    return figure


def attention(weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> Figure:
    """What each step of an answer attended to.

    Args:
        weights: (target steps, source steps), each row a distribution.
        source: the tokens read.
        target: the tokens given out.

    """
    figure = new_figure(1.6 + 0.3 * len(source), 1.2 + 0.24 * len(target))
    axes = figure.subplots()
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=90)
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    return figure


def learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]], metric: str, best: int) -> Figure:
    """How a run went: its losses, the metric it is judged by, and the gradient's norm.

    Args:
        curves: by metric, its values and after how many optimiser steps each was.
        metric: by which the run is judged, such as ``val/accuracy``.
        best: the step of the checkpoint that was kept.

    """
    wanted = [["train/loss", "val/loss"], [metric] if metric != "val/loss" else [], ["train/gradient_norm"]]
    panels = [names for names in wanted if any(name in curves for name in names)]
    # Of the training's values only the epochs' means: between them stand those of single batches.
    ends = {step for step, _ in curves.get("val/loss", [])}
    figure = new_figure(3.6 * len(panels), 2.8)
    for axes, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        plain_axes(axes).axvline(best, color="0.8", linewidth=1, zorder=0)
        for name in names:
            known = sorted(point for point in curves.get(name, []) if not ends or point[0] in ends)
            steps, values = np.array(known).reshape(-1, 2).T
            part = {"train": "training", "val": "validation"}[name.partition("/")[0]]
            # a line of a single value would not be seen
            axes.plot(steps, values, label=part, marker="." if len(steps) < 30 else None)
        axes.set(xlabel="optimiser steps", ylabel=names[-1].partition("/")[2].replace("_", " "))
        if len(names) > 1:
            axes.legend(frameon=False)
    figure.axes[0].set_title("grey: the checkpoint that was kept", loc="left", fontsize=8, color="0.4")
    return figure


def gradient_flow(panels: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """How much of the loss's gradient reaches how many steps back.

    Args:
        panels: by title, lines by name: (steps,) mean norms, the sequence's end first.

    """
    figure = new_figure(3.4 * len(panels), 2.8)
    for axes, (title, lines) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for name, norms in lines.items():
            # a gradient of exactly 0 has no place on this scale
            axes.plot(np.where(norms > 0, norms, np.nan), label=name)
        plain_axes(axes).set(title=title, xlabel="steps before the end", yscale="log")
    figure.axes[0].set_ylabel("gradient norm")
    if len(lines) > 1:
        figure.axes[-1].legend(frameon=False)
    return figure


def forecast(context: np.ndarray, true: np.ndarray, predicted: np.ndarray, name: str) -> Figure:
    """What was known, what came and what had been forecast, a panel a window.

    Args:
        context: (windows, steps before the forecast).
        true: (windows, steps forecast).
        predicted: (windows, steps forecast).
        name: of the value.

    """
    figure = new_figure(7, 1 + 1.5 * len(context))
    panels = np.atleast_1d(figure.subplots(len(context), 1, sharex=True))
    before, after = np.arange(1 - context.shape[1], 1), np.arange(0, true.shape[1] + 1)
    for axes, known, came, told in zip(panels, context, true, predicted, strict=True):
        plain_axes(axes).axvline(0, color="0.8", linewidth=1, zorder=0)
        axes.plot(before, known, color="0.4")
        for values, look in (
            (came, {"color": "0.4", "label": "true"}),
            (told, {"color": "C0", "label": "forecast"}),
        ):
            axes.plot(after, np.append(known[-1], values), **look)
        axes.set(ylabel=name)
    panels[0].legend(loc="upper left", frameon=False, fontsize=8)
    panels[-1].set(xlabel="steps from the last one known")
    return figure


def piano_roll(true: np.ndarray, predicted: np.ndarray) -> Figure:
    """A piece, and the probabilities that were foretold of it.

    Args:
        true: (frames, keys) of 0 and 1.
        predicted: (frames, keys) probabilities.

    """
    figure = new_figure(8, 5)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    used = np.flatnonzero(true.any(axis=0) | (predicted > 0.1).any(axis=0))
    for axes, roll, title in zip(panels, (true, predicted), ("true", "predicted"), strict=True):
        image = axes.imshow(
            roll.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="nearest"
        )
        axes.set(ylabel="key", title=title)
    if len(used):
        panels[0].set_ylim(used[0] - 1.5, used[-1] + 1.5)
    panels[1].set_xlabel("frame")
    figure.colorbar(image, ax=panels, label="probability", fraction=0.03, pad=0.02)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, without pyplot, which keeps every figure alive."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain_axes(axes: Axes) -> Axes:
    """The same axes without the frame's upper and right lines."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes
