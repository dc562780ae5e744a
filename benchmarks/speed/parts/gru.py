"""A GRU on the processor: our layers beside ``nn.GRU`` in the same bare loop, one thread."""

from __future__ import annotations

from collections.abc import Iterator

from speed.measuring import Bar, Row, Settings
from speed.workers import Worker

SHAPES = {
    "digits, GRU 64": (32, 8, 8, 64),
    "MNIST rows, GRU 64": (64, 28, 28, 64),
    "MNIST rows, GRU 128": (64, 28, 28, 128),
    "JSB, GRU 150": (8, 60, 88, 150),
}
"""Batch, steps, features, units."""
SECONDS = 1.0
"""That a contestant takes a round."""


def measure(settings: Settings) -> Iterator[Row]:
    """In one process, a stretch of steps by one and then by the other."""
    with Worker(settings, "gru") as worker:
        for what, shape in SHAPES.items():
            rates = worker.ask(
                "speed.layers:rates",
                shape=list(shape),
                rounds=settings.repeats,
                seconds=0.1 if settings.quick else SECONDS,
                device=settings.device,
            )
            title = f"{what} (batch {shape[0]}, {shape[1]} steps of {shape[2]})"
            yield Row(title, "steps a second", rates, ("ours", "nn.GRU"), Bar(1.0))
