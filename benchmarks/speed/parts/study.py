"""A study whose trials are trained as one, eight at a time, beside the same study one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from speed import studies
from speed.measuring import Bar, Row, Settings, check_losses, in_turn

TRIALS, EPOCHS, SEATS, COMPARED = 64, 30, 8, 5
PARAMS = {
    "optimizer.lr": "tag(log, interval(3e-4, 1e-2))",
    "optimizer.weight_decay": "tag(log, interval(1e-6, 1e-3))",
    "seed": "range(0, 1000)",
}


def measure(settings: Settings) -> Iterator[Row]:
    """From the command to the leaderboard; the trials are the same ones, drawn at random."""
    trials, epochs = (8, 2) if settings.quick else (TRIALS, EPOCHS)
    studies.write(settings, "study", trials=trials, params=PARAMS)
    numbers = itertools.count()
    _sweep(settings, 1, numbers, "hydra.sweeper.n_trials=1", "trainer.max_epochs=1")
    contestants = {
        f"stack={seats}": partial(_sweep, settings, seats, numbers, f"trainer.max_epochs={epochs}")
        for seats in (1, SEATS)
    }
    told = in_turn(contestants, settings.repeats)
    for alone, together in zip(*told.of.values(), strict=True):
        known, other = alone.by("optimizer.lr"), together.by("optimizer.lr")
        for lr, each in known.items():
            losses = (_first_losses(run, epochs) for run in (each, other.get(lr, [])))
            check_losses(f"lr={lr}", "the trial alone", next(losses), "the one in a stack", next(losses))
    seconds = told.numbers(lambda ran: ran.seconds)
    what = f"{trials} random trials of digits, GRU 64, {epochs} epochs, two workers"
    yield Row(what, "s", seconds, (f"stack={SEATS}", "stack=1"), Bar(0.60, most=True))


def _first_losses(run: list[studies.Epoch], epochs: int) -> list[float]:
    """Before a high learning rate makes much of a last bit; not-a-number if epochs are missing."""
    losses = [epoch.metrics["val/loss"] for epoch in run]
    return losses[:COMPARED] if len(losses) == epochs else [float("nan")]


def _sweep(settings: Settings, seats: int, numbers: Iterator[int], *more: str) -> studies.Ran:
    return studies.sweep(
        settings,
        "study",
        f"study-{next(numbers)}",
        f"hydra.launcher.stack={seats}",
        "model.hidden_size=64",
        "data.batch_size=32",
        *more,
    )
