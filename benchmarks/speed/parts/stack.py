"""Trials of different learning rate and seed trained as one, beside as many bare loops.

The loops run one after another; on a GPU also divided among processes that share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from speed.measuring import Bar, Row, Settings, Skipped, Told, check_losses, in_turn
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


def shape_of(cell: str, units: int, bar: float | None = None, *, on: str = "digits") -> Shape:
    data, epochs, needs = {
        "digits": (DIGITS, 3, None),
        "MNIST rows": (MNIST, 1, "mnist"),
        "JSB": (CHORALES, 1, "jsb_chorales"),
    }[on]
    typed = (*data, f"model={cell}", f"model.hidden_size={units}")
    return Shape(f"{on}, {cell.upper()} {units}", typed, epochs, bar, needs)


SHAPES = (
    shape_of("rnn", 64, 0.35),
    shape_of("gru", 64, 0.40),
    shape_of("rnn", 64, 0.60, on="MNIST rows"),
    shape_of("gru", 64, 0.50, on="MNIST rows"),
    shape_of("gru", 150, 0.65, on="JSB"),
)


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """One thread; milliseconds a step of all members, alone and with validations, records and checkpoints."""
    yield from measure_all(SHAPES, settings)


def measure_all(shapes: Sequence[Shape], settings: Settings) -> Iterator[Row | Skipped]:
    """Each of them, with each number of members."""
    for shape in shapes:
        if shape.needs in settings.missing:
            yield Skipped(shape.what, f"no {shape.needs} in the data folder")
            continue
        for members in MEMBERS[settings.device][: 1 if settings.quick else None]:
            yield from _measure(shape, members, settings)


def _measure(shape: Shape, members: int, settings: Settings) -> Iterator[Row]:
    told = compared(shape, members, settings, {"bare loops": "bare", "one stack": "stacked"})
    bar = None if shape.bar is None or settings.device == "cuda" else Bar(shape.bar, most=True)
    what = f"{shape.what}, {members} trials"
    for named, part in ((f"{what}: steps", "training"), (f"{what}: epochs, recorded", "seconds")):
        values = told.numbers(lambda run, part=part: 1000 * run[part])
        yield Row(named, "ms a step", values, ("one stack", "bare loops"), bar)


def compared(
    shape: Shape, members: int, settings: Settings, contestants: dict[str, str], by: str = "losses"
) -> Told:
    """What each told in each round; each has a process of its own. `by`: which losses have to agree."""
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
        first, second = (
            around.enter_context(Worker(settings, function)) for function in contestants.values()
        )
        others = [around.enter_context(Worker(settings, f"bare-{n}")) for n in range(1, max([1, *counts]))]
        for worker in (first, second, *others):
            worker.ask("speed.members:ready", overrides=typed, device=settings.device)
        runs = {
            name: partial(worker.ask, f"speed.members:{function}", **order)
            for worker, (name, function) in zip((first, second), contestants.items(), strict=True)
        }
        for count in counts:
            runs[f"{count} processes"] = partial(shared, [first, *others][:count], **order)
        told = in_turn(runs, settings.repeats)
    (known_as, known), *rest = told.of.items()
    for name, found in rest:
        for mine, theirs in zip(known, found, strict=True):
            for number, (one, other) in enumerate(zip(mine[by], theirs[by], strict=True)):
                check_losses(f"{shape.what}, member {number}", known_as, one, name, other)
    return told
