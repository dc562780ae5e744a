"""Where training trials as one gains least: LSTMs, large networks, and the largest that are stacked."""

from __future__ import annotations

from collections.abc import Iterator

from speed.measuring import Bar, OtherWorkError, Row, Settings, Skipped
from speed.parts.stack import MEMBERS, Shape, compared, measure_all, shape_of

LARGE = (
    shape_of("lstm", 64),
    shape_of("lstm", 128, on="MNIST rows"),
    shape_of("gru", 256, on="MNIST rows"),
)
LARGEST = (
    shape_of("rnn", 160),
    shape_of("gru", 160),
    shape_of("rnn", 160, on="MNIST rows"),
    shape_of("gru", 160, on="MNIST rows"),
    shape_of("gru", 160, on="JSB"),
)
"""The largest networks that the program stacks on a processor."""


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """As `speed.parts.stack`; the largest beside our own runs, one after another."""
    yield from measure_all(LARGE, settings)
    if settings.device == "cuda":
        return  # there every network is stacked
    for shape in LARGEST[: 1 if settings.quick else None]:
        if shape.needs not in settings.missing:
            yield _beside_alone(shape, MEMBERS["cpu"][0], settings)


def _beside_alone(shape: Shape, members: int, settings: Settings) -> Row:
    # An RNN of 160 units at the higher of the rates is chaos: with the last digit of its initial weights
    # changed, a fifth of its loss is another one after 100 steps. So their first steps are compared.
    told = compared(shape, members, settings, {"one by one": "alone", "one stack": "stacked"}, by="begun")
    steps = told.numbers(lambda run: run["steps"])
    if len({number for found in steps.values() for number in found}) > 1:
        raise OtherWorkError(f"{shape.what}: not as many steps: {steps}")
    values = told.numbers(lambda run: 1000 * run["seconds"])
    what = f"{shape.what}, {members} trials: the largest that is stacked"
    return Row(what, "ms a step", values, ("one stack", "one by one"), Bar(1.05, most=True))
