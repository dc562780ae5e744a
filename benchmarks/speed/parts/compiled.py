"""One run with ``trainer.compile`` beside the same without it: an epoch, once all is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from speed.measuring import Row, Settings, Skipped, in_turn
from speed.workers import Worker
from speed.works import DIGITS, SIZES, Work

CELLS = Work(
    "cells", "digits, GRU 64 with layer normalisation, batch 32",
    (*DIGITS, "model=gru", "model.hidden_size=64", "model.layer_norm=true"), epochs=6,
)  # fmt: skip
WORKS = {"cpu": (*SIZES[:3], CELLS), "cuda": (*SIZES, CELLS)}
MODES = {"cpu": ("default",), "cuda": ("default", "reduce-overhead")}
EPOCHS = 4
"""At least: the first one, in which it is compiled, does not count."""


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """Each in a process of its own; seconds from one validation's end to the next one's."""
    for work in WORKS[settings.device]:
        if settings.sizes and work.name not in settings.sizes:
            continue
        if work.needs in settings.missing:
            yield Skipped(f"{work.name}: {work.what}", f"no {work.needs} in the data folder")
            continue
        yield _measure(replace(work, epochs=2 if settings.quick else max(EPOCHS, work.epochs)), settings)


def _measure(work: Work, settings: Settings) -> Row:
    names = ("none", *MODES[settings.device])
    with Worker(settings, "compiled") as worker:
        runs = {
            name: partial(
                worker.ask,
                "speed.contestants:epoch_seconds",
                overrides=work.typed(
                    settings.device, f"trainer.compile={'false' if name == 'none' else name}"
                ),
            )
            for name in names
        }
        told = in_turn(runs, settings.repeats)
    return Row(f"{work.name}: {work.what}", "s an epoch", told.numbers(min), (names[-1], "none"))
