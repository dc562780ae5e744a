"""One run, its steps a second: the bare loop, the stock stack, ours, each step's loss in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from speed.measuring import Bar, OtherWorkError, Row, Settings, Skipped, check_same, in_turn
from speed.workers import Worker
from speed.works import SIZES, Work

TRACKED = ("stock", "ours")


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """A size after the other, each contestant in a process of its own that has run it once already."""
    for work in SIZES:
        if settings.sizes and work.name not in settings.sizes:
            continue
        if work.needs in settings.missing:
            yield Skipped(f"{work.name}: {work.what}", f"no {work.needs} in the data folder")
            continue
        yield from _measure(work.quick() if settings.quick else work, settings)


def _measure(work: Work, settings: Settings) -> Iterator[Row]:
    typed = work.typed(settings.device, "trainer.log_every_n_steps=1")
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(settings, name)) for name in ("floor", "stock", "ours")}
        runs = {
            name: partial(worker.ask, f"speed.contestants:{name}", overrides=typed, device=settings.device)
            for name, worker in workers.items()
        }
        if not settings.quick:
            for name, worker in workers.items():  # what is imported and made at the first run
                once = [*typed, "trainer.max_epochs=1"]
                worker.ask(f"speed.contestants:{name}", overrides=once, device=settings.device)
        told = in_turn(runs, settings.repeats)
    for number in range(settings.repeats):
        seen = {name: all_told[number] for name, all_told in told.of.items()}
        check_same(work.what, seen)
        for name in TRACKED:
            if seen[name]["logged"] != seen[name]["steps"]:
                raise OtherWorkError(
                    f"{work.what}: {name} has the loss of {seen[name]['logged']} steps in MLflow, "
                    f"expected {seen[name]['steps']}"
                )
    rates = told.numbers(lambda run: run["steps"] / run["seconds"])
    steps = told.of["floor"][0]["steps"]
    loss = told.of["ours"][0]["history"][-1]["val/loss"]
    note = f"{steps} steps; all end at a validation loss of {loss:.4f}"
    bar = None if work.bar is None else Bar(work.bar)
    yield Row(f"{work.name}: {work.what}", "steps a second", rates, ("ours", "floor"), bar, note)
