"""Our sweeps as one types them, and what they left behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speed.measuring import Settings
from speed.spools import Epoch, described, epochs_of
from speed.workers import environment

STUDY = """\
defaults:
  - train
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - override data: {data}
  - override model: gru
  - _self_
hydra:
  sweeper:
    metric: val/loss
    n_trials: {trials}
    sampler: {{_target_: {sampler}, seed: 0}}
    enqueue: {enqueue}
    params: {params}
"""
"""JSON is YAML."""
HEAD = re.compile(r" *# +state ")
"""The leaderboard's first line."""
RANDOM, TPE = "optuna.samplers.RandomSampler", "optuna.samplers.TPESampler"


@dataclass(frozen=True)
class Ran:
    """A study that has run."""

    began: float
    """When the command was given, as `time.time` says it."""
    seconds: float
    """From the command to its end."""
    ranked: float
    """From the command to the leaderboard."""
    folder: Path

    @property
    def trials(self) -> list[Path]:
        """The folders of the trials in order."""
        found = (folder for folder in self.folder.iterdir() if folder.name.isdigit())
        return sorted(found, key=lambda folder: int(folder.name))

    @property
    def span(self) -> float:
        """Seconds from the first step of any trial to the end of the last validation."""
        return max(epochs_of(trial)[-1].ended for trial in self.trials) - min(
            described(trial)[0] for trial in self.trials
        )

    def by(self, key: str) -> dict[float, list[Epoch]]:
        """Each trial's epochs by the value of a parameter."""
        return {float(described(trial)[1][key]): epochs_of(trial) for trial in self.trials}


def write(
    settings: Settings,
    name: str,
    *,
    trials: int,
    params: dict[str, str],
    enqueue: Iterable[dict[str, Any]] = (),
    data: str = "digits",
    sampler: str = RANDOM,
) -> None:
    """A study file."""
    folder = settings.folder / "studies"
    folder.mkdir(exist_ok=True)
    text = STUDY.format(
        data=data,
        trials=trials,
        sampler=sampler,
        enqueue=json.dumps(list(enqueue)),
        params=json.dumps(params),
    )
    (folder / f"{name}.yaml").write_text(text)


def sweep(settings: Settings, name: str, study: str, *overrides: str) -> Ran:
    """Run it under the name `study`, or go on with it, in the folder ``sweeps``."""
    env = environment(settings, "sweeps")
    device = "gpu" if settings.device == "cuda" else "cpu"
    workers = "workers_per_device=2" if settings.device == "cuda" else "workers=2"
    command = [
        *(sys.executable, "-m", "seqsweep", "sweep", name, "--config-dir", str(settings.folder / "studies")),
        f"hydra.sweeper.study_name={study}",
        f"hydra.launcher.{workers}",
        f"trainer.accelerator={device}",
        *overrides,
    ]
    began, ranked, said = time.time(), 0.0, []
    with subprocess.Popen(
        command,
        env=env,
        cwd=settings.folder / "sweeps",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if HEAD.match(line):
                ranked = time.time() - began
    if process.returncode or not ranked:
        raise RuntimeError(f"{' '.join(command[2:])}: {''.join(said)[-2000:]}")
    return Ran(began, time.time() - began, ranked, settings.folder / "sweeps" / "multirun" / study)
