"""A study of 1,000 trials with learning curves, made by this script: how long its report takes, and the list.

    .venv/bin/python benchmarks/report.py [FOLDER]

Prints one table and writes it with the machine's name to benchmarks/results/report.json.
FOLDER keeps the study's store and its report.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

RESULTS = Path(__file__).parent / "results"
TRIALS, EPOCHS, SLOTS = 1000, 20, 4
BEGAN = datetime(2026, 1, 5, 9, 0)
SPACE: dict[str, BaseDistribution] = {
    "model": CategoricalDistribution(["rnn", "lstm", "gru"]),
    "model.hidden_size": CategoricalDistribution([32, 64, 128, 256]),
    "model.num_layers": IntDistribution(1, 4),
    "model.dropout": FloatDistribution(0.0, 0.5),
    "optimizer.lr": FloatDistribution(1e-5, 1e-1, log=True),
    "optimizer.weight_decay": FloatDistribution(1e-8, 1e-2, log=True),
    "data.batch_size": CategoricalDistribution([16, 32, 64, 128]),
    "scheduler.warmup": FloatDistribution(0.0, 0.3),
}


def drawn(distribution: BaseDistribution, random: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[random.integers(len(distribution.choices))]
    if isinstance(distribution, IntDistribution):
        return int(random.integers(distribution.low, distribution.high + 1))
    assert isinstance(distribution, FloatDistribution)
    if distribution.log:
        return float(np.exp(random.uniform(np.log(distribution.low), np.log(distribution.high))))
    return float(random.uniform(distribution.low, distribution.high))


def accuracy(params: dict[str, Any]) -> float:
    """What the configuration reaches in the end."""
    return (
        0.97
        - 0.05 * (math.log10(params["optimizer.lr"]) + 2.5) ** 2
        - 0.03 * (params["model"] == "rnn")
        - 0.02 * abs(math.log2(params["model.hidden_size"] / 128))
        - 0.1 * (params["model.dropout"] - 0.2) ** 2
    )


def trial(number: int, free: list[float], random: np.random.Generator) -> tuple[FrozenTrial, list[Any]]:
    """A trial with its curve, and the attempt at it; it takes the slot that is free first."""
    params = {name: drawn(distribution, random) for name, distribution in SPACE.items()}
    reached, pace = max(accuracy(params), 0.1) + 0.01 * random.normal(), random.uniform(2, 6)
    values = [float(reached * (1 - math.exp(-epoch / pace))) for epoch in range(1, EPOCHS + 1)]
    state = TrialState.COMPLETE if random.random() < 0.6 else TrialState.PRUNED
    if failed := number % 40 == 7:
        state = TrialState.FAIL
    epochs = EPOCHS if state == TrialState.COMPLETE else int(random.integers(3, 8))
    slot = free.index(min(free))
    begin, seconds = free[slot] + 0.3, epochs * float(random.uniform(0.5, 1.5))
    free[slot] = begin + seconds
    made = create_trial(
        state=state,
        value=None if failed else max(values[:epochs]),
        params=params,
        distributions=SPACE,
        intermediate_values={45 * (epoch + 1): value for epoch, value in enumerate(values[:epochs])},
        user_attrs={"seqsweep.error": f"RuntimeError: loss diverged in layer {number % 3}"} if failed else {},
    )
    made.datetime_start = BEGAN + timedelta(seconds=begin)
    made.datetime_complete = BEGAN + timedelta(seconds=begin + seconds)
    how = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[state.name]
    since = BEGAN.timestamp()
    return made, [number, 1, slot, round(since + begin, 3), round(since + begin + seconds, 3), how]


def make(home: Path) -> None:
    """The study, as a sweep on four slots leaves it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    random, free = np.random.default_rng(0), [0.0] * SLOTS
    trials, attempts = zip(*(trial(number, free, random) for number in range(TRIALS)), strict=True)
    study = optuna.create_study(
        study_name="thousand", storage=f"sqlite:///{home / 'optuna.db'}", direction="maximize"
    )
    study.add_trials(trials)
    study.set_user_attr("seqsweep.metric", ["val/accuracy"])
    study.set_user_attr("seqsweep.n_trials", TRIALS)
    for part in range(0, TRIALS, 200):
        chunk = attempts[part : part + 200]
        seen, slots = max(attempt[4] for attempt in chunk), [[slot, ""] for slot in range(SLOTS)]
        attribute = {"began": BEGAN.timestamp(), "seen": seen, "slots": slots, "attempts": chunk}
        study.set_user_attr(f"seqsweep.timeline.{part // 200}", attribute)


def seconds(home: Path, *arguments: str) -> float:
    """Wall time of a whole command."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "seqsweep", *arguments],
        env={**os.environ, "SEQSWEEP_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main(home: Path) -> None:
    """Make, time, print, keep."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "optuna.db").exists():
        make(home)
    rows = [
        {
            "command": "seqsweep report thousand",
            "seconds": [seconds(home, "report", "thousand") for _ in range(3)],
        },
        {"command": "seqsweep list", "seconds": [seconds(home, "list") for _ in range(3)]},
    ]
    size = (home / "multirun" / "thousand" / "report.html").stat().st_size
    for row in rows:
        print(f"{row['command']}: {' '.join(f'{each:.2f}' for each in row['seconds'])} s")
    print(f"report.html: {size / 1e6:.2f} MB")
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    document = {"machine": machine, "trials": TRIALS, "rows": rows, "report.html, bytes": size}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "report.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
