"""Trials of different learning rate and seed trained as one, beside as many bare loops.

The loops run one after another; on a GPU also divided among processes that share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from speed.measuring import Bar, Row, Settings, Skipped, check_losses, in_turn
from speed.members import shared
from speed.workers import Worker
from speed.works import CHORALES, DIGITS, MNIST

MEMBERS = {"cpu": (16,), "cuda": (1, 4, 16, 64, 256)}
PROCESSES = {"cpu": (), "cuda": (2, 4, 8)}
"""Among how many processes on the one device the bare loops are divided, too."""


@dataclass(frozen=True)
class Shape:
    """A network on a data set."""

    what: str
    overrides: tuple[str, ...]
    epochs: int
    bar: float | None = None
    needs: str | None = None


def _shape(cell: str, units: int, bar: float | None = None, *, on: str = "digits") -> Shape:
    data, epochs, needs = {
        "digits": (DIGITS, 3, None),
        "MNIST rows": (MNIST, 1, "mnist"),
        "JSB": (CHORALES, 1, "jsb_chorales"),
    }[on]
    typed = (*data, f"model={cell}", f"model.hidden_size={units}")
    return Shape(f"{on}, {cell.upper()} {units}", typed, epochs, bar, needs)


SHAPES = (
    _shape("rnn", 64, 0.35),
    _shape("gru", 64, 0.40),
    _shape("rnn", 64, 0.60, on="MNIST rows"),
    _shape("gru", 64, 0.50, on="MNIST rows"),
    _shape("gru", 150, 0.65, on="JSB"),
    _shape("lstm", 64),
    _shape("lstm", 128, on="MNIST rows"),
    _shape("gru", 256, on="MNIST rows"),
)


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """One thread; seconds a step of all members, validations in."""
    for shape in SHAPES:
        if shape.needs in settings.missing:
            yield Skipped(shape.what, f"no {shape.needs} in the data folder")
            continue
        for members in MEMBERS[settings.device][: 1 if settings.quick else None]:
            yield _measure(shape, members, settings)


def _measure(shape: Shape, members: int, settings: Settings) -> Row:
    accelerator = "gpu" if settings.device == "cuda" else "cpu"
    typed = [
        *shape.overrides,
        f"trainer.max_epochs={shape.epochs}",
        f"trainer.accelerator={accelerator}",
        "trainer.log_every_n_steps=1",
    ]
    order = {"overrides": typed, "members": members, "device": settings.device}
    counts = [count for count in PROCESSES[settings.device] if count <= members]
    with ExitStack() as around:
        workers = [
            around.enter_context(Worker(settings, f"floor-{place}")) for place in range(max([1, *counts]))
        ]
        stack = around.enter_context(Worker(settings, "stack"))
        for worker in workers:
            worker.ask("speed.members:ready", overrides=typed, device=settings.device)
        runs = {
            "bare loops": partial(workers[0].ask, "speed.members:bare", **order),
            "one stack": partial(stack.ask, "speed.members:stacked", **order),
            **{f"{count} processes": partial(shared, workers[:count], **order) for count in counts},
        }
        told = in_turn(runs, settings.repeats)
    for name, others in told.of.items():
        for bare, one in zip(told.of["bare loops"], others, strict=True):
            for number, (known, other) in enumerate(zip(bare["losses"], one["losses"], strict=True)):
                check_losses(f"{shape.what}, member {number}", "the bare loop", known, name, other)
    seconds = told.numbers(lambda run: 1000 * run["seconds"])
    bar = None if shape.bar is None or settings.device == "cuda" else Bar(shape.bar, most=True)
    return Row(f"{shape.what}, {members} trials", "ms a step", seconds, ("one stack", "bare loops"), bar)
