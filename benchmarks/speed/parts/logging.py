"""Logging: what handing over a metric takes, and what logging each step costs a run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from speed.measuring import Bar, Row, Settings, in_turn
from speed.workers import Worker
from speed.works import SIZES

METRICS = 20_000
NEVER = 10**9


def measure(settings: Settings) -> Iterator[Row]:
    """The hand-off beside ``self.log`` in a fit; then our tiny run with and without logging."""
    tiny = SIZES[0].quick() if settings.quick else SIZES[0]
    with Worker(settings, "ours") as ours, Worker(settings, "stock") as stock:
        calls = {
            "hand-off": partial(ours.ask, "speed.handing:spool", metrics=METRICS),
            "self.log": partial(stock.ask, "speed.handing:self_log", overrides=tiny.typed()),
        }
        micros = in_turn(calls, settings.repeats).of
        yield Row("handing over a metric", "µs", {"ours": micros["hand-off"]}, bar=Bar(40, most=True))
        yield Row("beside Lightning's self.log", "µs", micros, ("hand-off", "self.log"), Bar(1, most=True))
        runs = {
            name: partial(
                ours.ask,
                "speed.contestants:ours",
                overrides=tiny.typed(settings.device, f"trainer.log_every_n_steps={every}"),
                device=settings.device,
            )
            for name, every in (("logging off", NEVER), ("each step logged", 1))
        }
        next(iter(runs.values()))()
        rates = in_turn(runs, settings.repeats).numbers(lambda run: run["steps"] / run["seconds"])
    yield Row(tiny.what, "steps a second", rates, ("each step logged", "logging off"), Bar(0.97))
