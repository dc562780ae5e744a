"""What the engine itself costs: how full the slots are, and what a trial pays beyond its own work.

    .venv/bin/python benchmarks/engine.py refill     how busy 64 jobs of 1:8 keep 2, 4, 8 slots
    .venv/bin/python benchmarks/engine.py loop       trials a second, beside bare ask and tell
    .venv/bin/python benchmarks/engine.py flat       the first and the last 200 of 2,000 trials
    .venv/bin/python benchmarks/engine.py jobs       Hydra jobs that return at once, beside Hydra alone

Each prints one table and writes it with the machine's name to benchmarks/results/.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from seqsweep.launching import LocalExecutor, ThreadExecutor, make_slots
from seqsweep.protocol import Ended, Job, Outcome
from seqsweep.sweeping import Budget, Loop, SearchSpace, Study, StudySettings
from seqsweep.sweeping.study import Suggestion

RESULTS = Path(__file__).parent / "results"
SPACE = SearchSpace.parse({"x": "interval(0.0,1.0)", "y": "choice(1,2,3)"})
FINITE = SearchSpace.parse({"x": "range(0,1000)", "y": "range(0,1000)"})
"""A million configurations: each draw is looked up among the completed ones, and hardly any comes again."""
IDLE = str(Path(__file__).with_name("idle.py"))
WARM, JOBS = 60, 100
"""Trials before the measured ones, in which the driver still imports MLflow, and the measured ones."""
UNIT = 1.0
"""Seconds of the shortest job; the longest takes eight times as long."""


def study(storage: str | None, space: SearchSpace = SPACE) -> Study:
    def sampler(seed: int | None) -> optuna.samplers.BaseSampler:
        return optuna.samplers.RandomSampler(seed=seed)

    settings = StudySettings(
        "engine", storage, ("value",), ("minimize",), sampler, optuna.pruners.NopPruner(), 0
    )
    return Study.open(settings, space)


def durations() -> list[float]:
    """64 durations between one and eight units, the same each time."""
    drawn: list[float] = (UNIT * np.random.default_rng(0).uniform(1, 8, size=64)).tolist()
    return drawn


def ideal(times: list[float], slots: int) -> float:
    """Seconds of a list schedule that costs nothing."""
    free = [0.0] * slots
    for taken in times:
        free[free.index(min(free))] += taken
    return max(free)


def batches(times: list[float], slots: int) -> float:
    """Seconds where each batch waits for its slowest job."""
    return sum(max(times[i : i + slots]) for i in range(0, len(times), slots))


def refill(slots: int) -> dict[str, float]:
    """Run the jobs through the loop on real processes."""
    times = durations()
    submitted: dict[int, float] = {}
    ended: dict[int, float] = {}

    class Clock:
        def submitted(self, suggestion: Suggestion, *rest: Any) -> None:
            submitted[suggestion.number] = time.perf_counter()

        def ended(self, suggestion: Suggestion, state: str, outcome: Outcome, event: Ended | None) -> None:
            ended[suggestion.number] = time.perf_counter()

        def reported(self, *rest: Any) -> None: ...
        def copied(self, *rest: Any) -> None: ...
        def message(self, text: str) -> None: ...

    with tempfile.TemporaryDirectory() as folder, LocalExecutor(make_slots((), cores=slots)) as executor:
        executor.submit(Job(-1, "jobs:nothing", None, folder), executor.slots()[0])  # the server is warm
        while not any(isinstance(event, Ended) for event in executor.poll()):
            pass

        def job(suggestion: Suggestion) -> Job:
            return Job(suggestion.number, "jobs:sleep", times[suggestion.number], folder)

        began = time.perf_counter()
        Loop(study(f"sqlite:///{folder}/optuna.db"), executor, job, Budget(len(times)), [Clock()]).run()
        total = time.perf_counter() - began
    last = max(submitted.values())
    busy = sum(min(submitted[n] + times[n], last) - submitted[n] for n in submitted if submitted[n] < last)
    return {
        "slots": slots,
        "busy until the last submit": busy / (slots * (last - began)),
        "ideal / total": ideal(times, slots) / total,
        "ideal / batches": ideal(times, slots) / batches(times, slots),
    }


def loop_rate(storage: Callable[[str], str | None], trials: int) -> float:
    """Trials a second through the loop, jobs in threads that return at once."""
    with tempfile.TemporaryDirectory() as folder, ThreadExecutor(make_slots((), cores=2)) as executor:

        def job(suggestion: Suggestion) -> Job:
            return Job(suggestion.number, "jobs:nothing", None, folder)

        opened = study(storage(folder))
        began = time.perf_counter()
        Loop(opened, executor, job, Budget(trials)).run()
        return trials / (time.perf_counter() - began)


class Times:
    """An observer that notes when each trial was told."""

    def __init__(self) -> None:
        self.told = [time.perf_counter()]

    def ended(self, *rest: Any) -> None:
        self.told.append(time.perf_counter())

    copied = ended

    def submitted(self, *rest: Any) -> None: ...
    def reported(self, *rest: Any) -> None: ...
    def message(self, text: str) -> None: ...


def flatness(storage: Callable[[str], str | None], space: SearchSpace) -> dict[str, float]:
    """Seconds of the first and of the last 200 of 2,000 trials through the loop."""
    times = Times()
    with tempfile.TemporaryDirectory() as folder, ThreadExecutor(make_slots((), cores=2)) as executor:

        def job(suggestion: Suggestion) -> Job:
            return Job(suggestion.number, "jobs:nothing", None, folder)

        Loop(study(storage(folder), space), executor, job, Budget(2000), [times]).run()
    first, last = times.told[200] - times.told[0], times.told[-1] - times.told[-201]
    return {"first 200, s": first, "last 200, s": last, "last / first": last / first}


def bare_rate(storage: Callable[[str], str | None], trials: int) -> float:
    """Trials a second of ask, suggest and tell by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        bare = optuna.create_study(
            storage=storage(folder), sampler=optuna.samplers.RandomSampler(seed=0), direction="minimize"
        )
        began = time.perf_counter()
        for _ in range(trials):
            trial = bare.ask()
            SPACE.suggest(trial)
            bare.tell(trial, 0.0)
        return trials / (time.perf_counter() - began)


def in_memory(folder: str) -> None:
    return None


def sqlite(folder: str) -> str:
    return f"sqlite:///{folder}/optuna.db"


def loop() -> list[dict[str, Any]]:
    """The loop beside bare ask and tell, interleaved; medians of five."""
    rows = []
    for name, storage, trials in (("memory", in_memory, 1000), ("SQLite", sqlite, 100)):
        pairs = [(loop_rate(storage, trials), bare_rate(storage, trials)) for _ in range(5)]
        rows.append(
            {
                "storage": name,
                "loop, trials a second": statistics.median(ours for ours, _ in pairs),
                "bare ask and tell": statistics.median(bare for _, bare in pairs),
                "ratio": statistics.median(ours / bare for ours, bare in pairs),
            }
        )
    return rows


def flat() -> Iterator[dict[str, Any]]:
    """Every kind of storage with a space without end and one that has one; medians of three."""
    for name, storage in (("memory", in_memory), ("SQLite", sqlite)):
        for kind, space in (("continuous", SPACE), ("finite", FINITE)):
            runs = [flatness(storage, space) for _ in range(3)]
            medians = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
            yield {"storage": name, "space": kind, **medians}


def trial_seconds(folder: str) -> float:
    """Seconds a trial of a Hydra application takes in a whole study on two workers, once all is warm."""
    overrides = ["-m", "hydra/sweeper=seqsweep", "hydra/launcher=seqsweep", "hydra.launcher.workers=2"]
    sampler = "hydra.sweeper.sampler={_target_: optuna.samplers.RandomSampler, seed: 0}"
    for name, trials in (("first", 2), ("idle", WARM + JOBS)):  # the first one creates the stores
        budget = [f"hydra.sweeper.study_name={name}", f"hydra.sweeper.n_trials={trials}", sampler]
        command = [sys.executable, IDLE, *overrides, *budget, "x=interval(0.0,1.0)"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    stored = optuna.load_study(study_name="idle", storage=sqlite(folder)).get_trials()
    ends = sorted(trial.datetime_complete for trial in stored if trial.datetime_complete is not None)
    return (ends[-1] - ends[WARM - 1]).total_seconds() / JOBS


def jobs() -> Iterator[dict[str, Any]]:
    """A study of jobs that do nothing beside Hydra's own compose and call, in turn; medians last."""
    import idle

    rows: list[dict[str, Any]] = []
    for number in range(3):
        with tempfile.TemporaryDirectory() as folder:
            trial = trial_seconds(folder)
            compose, call = idle.by_itself(JOBS, folder)
        row = {"seconds a trial": trial, "compose": compose, "call": call, "ratio": trial / (compose + call)}
        rows.append(row)
        yield {"round": number + 1, **row}
    yield {"round": "median", **{key: statistics.median(row[key] for row in rows) for key in rows[0]}}


def show(name: str, measured: Iterable[dict[str, Any]]) -> None:
    """Print the table, a row as soon as it is measured, and keep it."""
    rows = []
    for row in measured:
        if not rows:
            print(" | ".join(row))
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        print(" | ".join(cells), flush=True)
        rows.append(row)
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "rows": rows}, indent=1)
    (RESULTS / f"engine_{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    what = sys.argv[1] if len(sys.argv) > 1 else "refill"
    tables: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
        "refill": lambda: map(refill, (2, 4, 8)),
        "loop": loop,
        "flat": flat,
        "jobs": jobs,
    }
    show(what, tables[what]())
