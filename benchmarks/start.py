"""How long a trial takes to begin: from `submit` to its first training step, in a fresh process.

    .venv/bin/python benchmarks/start.py

A small GRU on the digits, their prepared form cached, the warm server up, one trial
after another. Prints one table and writes it with the machine's name to
benchmarks/results/start.json. Processor time is the trial's own process's.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqsweep import paths
from seqsweep.cli.executors import OURS
from seqsweep.launching import LocalExecutor, make_slots
from seqsweep.protocol import Complete, Ended, Job, Report

RESULTS = Path(__file__).parent / "results"
TRIALS = 15


def configuration() -> dict[str, Any]:
    """``seqsweep train model=gru data=digits`` for one epoch, with a clock."""
    overrides = ["model=gru", "data=digits", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        config = compose("train", [*overrides, "trainer.callbacks={clock: {_target_: clock.Clock}}"])
    made: Any = OmegaConf.to_container(config, resolve=True)
    return made


def start(executor: LocalExecutor, number: int, config: dict[str, Any]) -> dict[str, Any]:
    """Run one trial; seconds since it was submitted, and its processor time, at each place."""
    with tempfile.TemporaryDirectory() as folder:
        goal = {"metric": "val/accuracy", "direction": "maximize", "test": False}
        job = Job(number, "seqsweep.training.jobs:run", {"config": config, "goal": goal}, folder)
        submitted = time.time()
        executor.submit(job, executor.slots()[0])
        ended = None
        while ended is None:
            for event in executor.poll():
                if isinstance(event, Report):
                    executor.answer(number, go=True)
                ended = event if isinstance(event, Ended) else ended
        assert isinstance(ended.outcome, Complete), ended
        marks: dict[str, Any] = json.loads((Path(folder) / "start.json").read_text())
    memory = marks.pop("memory")
    for mark in marks.values():
        mark["time"] -= submitted
    return marks | {"memory": memory}


def table(starts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over the trials."""
    memory = statistics.median(start.pop("memory") for start in starts) / 2**20
    rows = []
    for place in starts[0]:
        times = [start[place]["time"] for start in starts]
        rows.append(
            {
                "place": place,
                "seconds since submit": statistics.median(times),
                "slowest": max(times),
                "processor seconds": statistics.median(start[place]["cpu"] for start in starts),
                "private MiB": memory if place == "first step made" else None,
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table and keep it."""
    print(" | ".join(rows[0]))
    for row in rows:
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value or "") for value in row.values())
        print(" | ".join(cells))
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "trials": TRIALS, "rows": rows}, indent=1)
    (RESULTS / "start.json").write_text(text + "\n")


if __name__ == "__main__":
    config = configuration()
    with LocalExecutor(make_slots((), cores=1), preload=OURS) as executor:
        start(executor, 0, config)  # the server has imported everything, and the data is prepared
        show(table([start(executor, number, config) for number in range(1, TRIALS + 1)]))
