"""What stopping poor trials early saves: successive halving against no pruner, on real studies.

    .venv/bin/python benchmarks/pruning.py [FOLDER]

Runs `sweeps/digits_gru.yaml` (a GRU on the digits, 30 epochs, 40 trials) through the command
line, with its pruner and without, once a seed; the seed is the sampler's and the training's.
About an hour on two cores. Stores and folders are kept in FOLDER (by default
`seqsweep-pruning` in the system's temporary folder); started again, it goes on where it was.
Prints one table and writes every study's numbers to benchmarks/results/pruning.json.

A trial's training steps are the step of its last train/loss in MLflow: a trial that is stopped
has recorded its last epoch by then. The best value is Optuna's, over the trials that ran to
their end.
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
from pathlib import Path
from typing import Any

import optuna

from seqsweep.tracking.mlflow_store import connect

RESULTS = Path(__file__).parent / "results"
STUDY = "digits_gru"
SEEDS = range(5)
WITHOUT = [
    "hydra.sweeper.pruner._target_=optuna.pruners.NopPruner",
    "~hydra.sweeper.pruner.min_resource",
    "~hydra.sweeper.pruner.reduction_factor",
]
ARMS = {"none": WITHOUT, "halving": []}
"""The overrides of the study file that make each arm."""


def run(home: Path, arm: str, seed: int, extra: list[str]) -> float:
    """One study from its first trial to its last, or what was left of it; seconds of this command."""
    command = [sys.executable, "-m", "seqsweep", "sweep", STUDY, *ARMS[arm], *extra]
    command += [f"hydra.sweeper.study_name={name(arm, seed)}"]
    command += [f"hydra.sweeper.sampler.seed={seed}", f"seed={seed}"]
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, "SEQSWEEP_HOME": str(home)}, check=True)
    return time.perf_counter() - began


def name(arm: str, seed: int) -> str:
    return f"pruning-{arm}-{seed}"


def measure(home: Path, arm: str, seed: int) -> dict[str, Any]:
    """What the stores say of one study."""
    study = optuna.load_study(study_name=name(arm, seed), storage=f"sqlite:///{home / 'optuna.db'}")
    steps = steps_by_trial(home, study.user_attrs["seqsweep.uid"])
    check(study, steps)
    states = [trial.user_attrs["seqsweep.state"] for trial in study.trials]
    return {
        "pruner": arm,
        "seed": seed,
        "training steps": sum(steps.values()),
        "best": study.best_value,
        "trials": len(states),
        **{state: states.count(state) for state in ("complete", "pruned", "failed", "infeasible")},
    }


def steps_by_trial(home: Path, uid: str) -> dict[int, int]:
    """Training steps of each trial, from its Run."""
    client = connect(f"sqlite:///{home / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "seqsweep"]
    runs = client.search_runs(
        [experiment.experiment_id],
        f"tags.`seqsweep.study_uid` = '{uid}' and tags.`seqsweep.kind` = 'trial'",
        max_results=1000,
    )
    return {
        int(run.data.tags["seqsweep.trial"]): max(
            metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")
        )
        for run in runs
    }


def check(study: optuna.Study, steps: dict[int, int]) -> None:
    """The two stores must tell the same story: one Run a trial, and the last report at its last step."""
    assert sorted(steps) == [trial.number for trial in study.trials]
    for trial in study.trials:
        assert trial.last_step in (None, steps[trial.number]), trial


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the seeds, and the bars: steps at most 0.45 of no pruner's, best within 1 %."""

    def median(arm: str, what: str) -> float:
        return statistics.median(row[what] for row in rows if row["pruner"] == arm)

    return {
        "steps, halving / none": median("halving", "training steps") / median("none", "training steps"),
        "best, halving / none": median("halving", "best") / median("none", "best"),
    }


def show(rows: list[dict[str, Any]], medians: dict[str, float]) -> None:
    """Print the table."""
    print(" | ".join(rows[0]))
    for row in rows:
        print(
            " | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    for what, ratio in medians.items():
        print(f"medians: {what}: {ratio:.3f}")


def keep(rows: list[dict[str, Any]], medians: dict[str, float]) -> None:
    """Write the numbers with the machine's name."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "rows": rows, "medians": medians}, indent=1)
    (RESULTS / "pruning.json").write_text(text + "\n")


def main(home: Path, *extra: str) -> None:
    """Overrides after the folder go to every study: hydra.sweeper.n_trials=3 for a quick try."""
    home.mkdir(parents=True, exist_ok=True)
    studies = [(arm, seed) for seed in SEEDS for arm in ARMS]
    for arm, seed in studies:
        seconds = run(home, arm, seed, list(extra))
        print(f"{name(arm, seed)}: {seconds:.0f} s", flush=True)
    rows = [measure(home, arm, seed) for arm, seed in studies]
    show(rows, summary(rows))
    keep(rows, summary(rows))


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()) / "seqsweep-pruning"
    main(where.absolute(), *sys.argv[2:])
