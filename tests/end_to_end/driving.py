"""Running the command as a user does, and reading what it left in the stores."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from faults.invariants import check_study, stored_runs

__all__ = ["STUDY", "Driver", "all_gone", "check_study", "command", "run", "stored_runs"]

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


def command(*arguments: str, program: str = "seqsweep") -> list[str]:
    return [sys.executable, "-m", program, *arguments]


@dataclass
class Driver:
    """A command under way, its standard output read line by line."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Path, *arguments: str, program: str = "seqsweep") -> Driver:
        process = subprocess.Popen(
            command(*arguments, program=program),
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
        """The processes that run trials: grandchildren, forked by the warm server, which may keep one more ready."""
        driver = psutil.Process(self.process.pid)
        forked = [worker for server in driver.children() for worker in server.children()]
        return [
            each for each in forked if any(file.path.endswith("output.log") for file in each.open_files())
        ]

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
