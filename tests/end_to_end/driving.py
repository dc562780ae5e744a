"""Running the command as a user does, and reading what it left in the stores."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import optuna
import psutil
import torch
from mlflow.entities import Run

STUDY = """\
defaults:
  - train
  - override data: digits
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
trainer: {max_epochs: 6}
model: {dropout: 0.2}
hydra:
  launcher: {workers: 2}
  sweeper:
    metric: val/accuracy
    direction: maximize
    n_trials: 8
    sampler: {_target_: optuna.samplers.RandomSampler, seed: 1}
    params:
      model: choice(rnn, lstm, gru)
      model.hidden_size: choice(16, 32)
      optimizer.lr: tag(log, interval(1e-3, 1e-2))
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "seqsweep", *arguments]


@dataclass
class Driver:
    """A command under way, its standard output read line by line."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Path, *arguments: str) -> Driver:
        process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        return cls(process)

    def until(self, text: str, times: int = 1) -> None:
        """Read until `text` has come so many times."""
        seen: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            seen.append(line)
            times -= text in line
            if times == 0:
                return
        raise AssertionError(f"'{text}' did not come:\n{''.join(seen)}")

    def family(self) -> list[psutil.Process]:
        """The driver and everything it has started."""
        driver = psutil.Process(self.process.pid)
        return [driver, *driver.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """The processes that run trials: grandchildren, forked by the warm server."""
        driver = psutil.Process(self.process.pid)
        return [worker for server in driver.children() for worker in server.children()]

    def finish(self) -> str:
        """What was still printed; waits for the end."""
        assert self.process.stdout is not None
        with self.process.stdout as output:
            rest = output.read()
        self.process.wait(120)
        return rest


def all_gone(processes: Iterable[psutil.Process], within: float = 20.0) -> bool:
    """Whether all have ended (a worker may take its ten seconds for a checkpoint)."""
    end = time.monotonic() + within
    left = list(processes)
    while left and time.monotonic() < end:
        left = [process for process in psutil.wait_procs(left, timeout=1.0)[1] if _runs(process)]
    return not left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run(folder: Path, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


def stored_runs(folder: Path, project: str = "seqsweep") -> tuple[list[Run], list[Run]]:
    """Parent and child Runs in the folder's MLflow store."""
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(project)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return [run for run in runs if run not in children], children


def check_study(folder: Path, name: str, n_trials: int, epochs: int) -> None:
    """The invariants that hold after a study, whatever happened during it."""
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(n_trials))
    assert all(trial.state.is_finished() for trial in trials)
    parents, children = stored_runs(folder)
    assert len(parents) == 1
    by_trial = {int(run.data.tags["seqsweep.trial"]): run for run in children}
    assert Counter(int(run.data.tags["seqsweep.trial"]) for run in children) == Counter(range(n_trials))
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for trial in trials:
        stored = by_trial[trial.number]
        assert stored.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert stored.data.tags["seqsweep.state"] == trial.state.name.lower() == "complete"
        assert stored.info.status == "FINISHED"
        for key, value in trial.params.items():
            if key != "model":  # a group: what it chose stands in the model's own keys
                assert stored.data.params[key] == str(value)
        history = client.get_metric_history(stored.info.run_id, "val/accuracy")
        steps = [metric.step for metric in history]
        assert len(steps) == epochs, trial.number
        assert steps == sorted(set(steps)), trial.number
        assert stored.data.metrics["best/val/accuracy"] == trial.value == max(m.value for m in history)
        artifacts = {artifact.path for artifact in client.list_artifacts(stored.info.run_id)}
        assert {"config.yaml", "best.ckpt"} <= artifacts
        checkpoint = folder / "multirun" / name / str(trial.number) / "best.ckpt"
        assert "state_dict" in torch.load(checkpoint, weights_only=True)
        losses = [metric.step for metric in client.get_metric_history(stored.info.run_id, "train/loss")]
        assert losses == sorted(set(losses))
