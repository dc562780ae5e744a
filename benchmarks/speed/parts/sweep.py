"""A sweep with two workers: a bare pool of processes, the stock stack, ours."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from speed import studies
from speed.measuring import Bar, Row, Settings, Skipped, check_losses, in_turn
from speed.workers import Worker, environment
from speed.works import DIGITS, Work

TRIALS, EPOCHS = 32, 10
SEATS, COMPARED = 16, 5
STACKED = f"ours, stack={SEATS}"
WORK = Work("sweep", "digits, GRU 64", (*DIGITS, "model=gru", "model.hidden_size=64"), EPOCHS)


@dataclass
class Sweeps:
    """The trials, and who runs them."""

    settings: Settings
    rates: list[float]
    numbers: Iterator[int]

    @property
    def job(self) -> str:
        return str(self.settings.folder / "sweep.pt")

    @property
    def store(self) -> str:
        return f"sqlite:///{self.settings.folder / 'stock' / 'sweep.db'}"

    def prepare(self) -> None:
        """All that is there before a command is typed: tensors, stores, prepared data."""
        work = WORK.quick() if self.settings.quick else WORK
        with Worker(self.settings, "stock") as worker:
            worker.ask(
                "speed.pool:prepare",
                overrides=work.typed(),
                rates=self.rates,
                path=self.job,
                device=self.settings.device,
            )
            worker.ask("speed.parts.sweep:make_store", uri=self.store)
        given = [{"optimizer.lr": rate} for rate in self.rates]
        params = {"optimizer.lr": "tag(log, interval(1e-4, 1e-2))"}
        studies.write(self.settings, "speed", trials=len(given), params=params, enqueue=given)
        self._sweep("warm", "hydra.sweeper.n_trials=1")

    def pool(self) -> dict[str, Any]:
        out = self.settings.folder / "pool.json"
        command = [sys.executable, "-m", "speed.pool", self.job, str(out)]
        seconds = self._timed(command)
        told = json.loads(out.read_text())
        return {
            "seconds": seconds,
            "ranked": seconds,
            "span": max(t["ended"] for t in told) - min(t["began"] for t in told),
            "losses": {t["lr"]: [epoch["val/loss"] for epoch in t["history"]] for t in told},
        }

    def stock(self) -> dict[str, Any]:
        folder = self.settings.folder / "stock" / f"sweep-{next(self.numbers)}"
        command = [
            *(sys.executable, "-m", "speed.stock_sweep", "-m", f"job={self.job}", f"uri='{self.store}'"),
            *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={folder}"),
            f"lr={','.join(map(repr, self.rates))}",
        ]
        seconds = self._timed(command)
        told = [json.loads(file.read_text()) for file in folder.glob("*/told.json")]
        return {
            "seconds": seconds,
            "ranked": seconds,
            "span": max(t["ended"] for t in told) - min(t["began"] for t in told),
            "losses": {t["lr"]: [epoch["val/loss"] for epoch in t["history"]] for t in told},
        }

    def ours(self, seats: int = 1) -> dict[str, Any]:
        ran = self._sweep(f"speed-{next(self.numbers)}", f"hydra.launcher.stack={seats}")
        epochs = ran.by("optimizer.lr")
        losses = {lr: [epoch.metrics["val/loss"] for epoch in each] for lr, each in epochs.items()}
        return {"seconds": ran.seconds, "ranked": ran.ranked, "span": ran.span, "losses": losses}

    def _sweep(self, study: str, *more: str) -> studies.Ran:
        work = WORK.quick() if self.settings.quick else WORK
        chosen = (
            "data=",
            "model=",
            "optimizer.lr=",
            "trainer.accelerator=",
        )  # the study file says, or `sweep`
        typed = [each for each in work.typed() if not each.startswith(chosen)]
        return studies.sweep(self.settings, "speed", study, *typed, *more)

    def _timed(self, command: list[str]) -> float:
        env = environment(self.settings, "stock")
        began = time.time()
        done = subprocess.run(
            command, env=env, cwd=self.settings.folder / "stock", check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[2:4])}: {done.stderr[-2000:]}")
        return time.time() - began


def measure(settings: Settings) -> Iterator[Row | Skipped]:
    """Start-up in all; seconds from the command to its end, and from the first step to the last."""
    draw = random.Random(0)
    rates = [round(10 ** draw.uniform(-4, -2), 6) for _ in range(4 if settings.quick else TRIALS)]
    sweeps = Sweeps(settings, rates, itertools.count())
    sweeps.prepare()
    contestants = {"pool": sweeps.pool, "ours": sweeps.ours, STACKED: partial(sweeps.ours, SEATS)}
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        yield Skipped("the stock stack's sweep", "hydra-joblib-launcher is not installed")
    else:
        contestants["stock"] = sweeps.stock
    told = in_turn(contestants, settings.repeats)
    for number, (name, others) in itertools.product(range(settings.repeats), told.of.items()):
        for lr, losses in told.of["pool"][number]["losses"].items():
            found = others[number]["losses"].get(lr, [])
            # in a stack a high learning rate makes much of a last bit, later on
            known, other = (each[:COMPARED] if name == STACKED else each for each in (losses, found))
            check_losses(f"lr={lr}", "the pool", known, name, other)
    spans, ranked, seconds = (
        told.numbers(lambda run, key=key: run[key])  # type: ignore[misc]
        for key in ("span", "ranked", "seconds")
    )
    what = f"{len(rates)} trials of {WORK.what}"
    yield Row(f"{what}: first to last step", "s", spans, ("ours", "pool"), Bar(1.15, most=True))
    yield Row(f"{what}: command to leaderboard", "s", ranked, ("ours", "pool"), Bar(1.5, most=True))
    if "stock" in seconds:
        for name in ("ours", STACKED):
            yield Row(f"{what}: command to end", "s", seconds, ("stock", name), Bar(3))


def make_store(uri: str) -> None:
    """Two processes that open a fresh SQLite store at the same moment would fail."""
    from mlflow import MlflowClient

    MlflowClient(uri).create_experiment("stock")
