"""Studies to disturb: real commands in folders of their own, and what undisturbed ones give."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from end_to_end.driving import Driver, command
from faults import invariants
from faults.invariants import Breach, Expected, Row

TESTS = Path(__file__).resolve().parents[1]
EPOCHS = 6
BATCHES = 20
"""Training batches of an epoch."""
LONGEST = 600
"""Seconds after which a driver is taken to hang."""
MARK = "SEQSWEEP_FAULTS_MARK"
"""The environment variable by which a study's processes are known, whatever becomes of their parents."""

STUDY = f"""\
defaults:
  - train
  - override data: digits
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
threads: 1
trainer:
  callbacks: FAULTS
  max_epochs: {EPOCHS}
  limit_train_batches: {BATCHES}
  log_every_n_steps: 5
model: {{dropout: 0.2}}
hydra:
  launcher: {{workers: 2}}
  sweeper:
    metric: val/accuracy
    direction: maximize
    n_trials: 14
    params:
      model: choice(rnn, lstm, gru)
      model.hidden_size: choice(8, 16)
"""

RANDOM = """\
      optimizer.lr: tag(log, interval(1e-3, 1e-2))
    sampler: {_target_: optuna.samplers.RandomSampler, seed: 1}
"""
GRID = """\
      optimizer.lr: choice(0.002, 0.01)
    sampler: {_target_: optuna.samplers.GridSampler, seed: 1}
"""
PRUNING = """\
      optimizer.lr: tag(log, interval(1e-4, 1e-2))
    sampler: {_target_: optuna.samplers.TPESampler, seed: 1}
    pruner: {_target_: optuna.pruners.MedianPruner, n_startup_trials: 2, n_warmup_steps: 20}
"""

# No guard around the call, and a metric after every step, as somebody's own script has it.
APPLICATION = """\
import time
from pathlib import Path

import hydra
import seqsweep
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

from faults import strikes

RETURNED = {"text": "as good as it gets", "nothing": None, "not-a-number": float("nan")}

ConfigStore.instance().store(name="config", node={"x": 0.0, "faults": FAULTS})

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(config):
    hydra_config = HydraConfig.get()
    fault = config.faults.get(f"trial{hydra_config.job.num}")
    for step in range(5):
        value = (config.x - 1) ** 2 + 1 / (step + 1)
        seqsweep.report(value, step)
        time.sleep(0.02)
        if fault and step == fault.step:
            folder = Path(hydra_config.runtime.output_dir)
            strikes.strike(folder, fault.name, fault.strike, fault.times)
            if fault.returns:
                return RETURNED[fault.returns]
    return value

app()
"""
OURS = ("-m", "hydra/sweeper=seqsweep", "hydra/launcher=seqsweep", "hydra.launcher.workers=2")


@dataclass(frozen=True)
class Kind:
    """A study as it is before anything disturbs it."""

    name: str
    text: str
    expected: Expected
    repeatable: bool = True
    """Whether two studies of it have the same table."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("random", STUDY + RANDOM, Expected(14, EPOCHS)),
        # twelve combinations: the sampler ends the study before n_trials
        Kind("grid", STUDY + GRID, Expected(12, EPOCHS)),
        Kind(
            "pruning",
            STUDY + PRUNING,
            Expected(14, EPOCHS, others=("complete", "pruned")),
            repeatable=False,  # what a pruner says depends on which trials it has seen
        ),
        Kind("app", APPLICATION, Expected(12, own=False, project="app", metric="objective")),
    )
}


@dataclass
class Sweep:
    """A study's folder and the command that runs it, or goes on with it."""

    kind: Kind
    folder: Path
    arguments: tuple[str, ...] = ()
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def make(
        cls,
        kind: Kind,
        folder: Path,
        faults: Mapping[str, Mapping[str, Any]] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Sweep:
        """Write the study down; `faults` are callbacks by name, an application's by trial."""
        folder.mkdir(parents=True)
        if kind.expected.own:
            (folder / "studies").mkdir()
            text = kind.text.replace("FAULTS", json.dumps(faults))
            (folder / "studies" / f"{kind.name}.yaml").write_text(text)
        else:
            nodes = {key: {"times": None, "returns": None, **node} for key, node in (faults or {}).items()}
            (folder / "app.py").write_text(kind.text.replace("FAULTS", repr(nodes)))
        return cls(kind, folder, arguments)

    @property
    def command(self) -> list[str]:
        if self.kind.expected.own:
            return command("sweep", self.kind.name, "--config-dir", "studies", *self.arguments)
        space = ("x=interval(-2.0,2.0)", f"hydra.sweeper.n_trials={self.kind.expected.n_trials}")
        sampler = ("hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler",)
        return [sys.executable, "app.py", *OURS, *space, *sampler, *self.arguments]

    @property
    def log(self) -> Path:
        """What all the drivers printed, in one file beside the folder."""
        return self.folder.with_suffix(".log")

    @property
    def studies_folder(self) -> Path:
        return self.folder / "multirun" / self.kind.name

    def start(self) -> Driver:
        """The command, in an environment of its own."""
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("SEQSWEEP_") and key != "MLFLOW_TRACKING_URI"
        }
        environment |= {
            MARK: self.mark,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
        }
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return Driver(process)

    def finish(self, driver: Driver) -> int:
        """The driver's exit status; one that hangs is killed."""
        try:
            return driver.process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            driver.process.kill()
            return driver.process.wait()

    def table(self) -> dict[int, Row]:
        return invariants.table(self.folder, self.kind.name, self.kind.expected.project)


class Writes:
    """A clock that the study itself drives: it ticks at every change of a file that is seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self.count = 0
        self.look()
        self.count = 0

    def look(self) -> int:
        for path, stamp in _stamps(self._folder):
            if self._seen.get(path) != stamp:
                self._seen[path] = stamp
                self.count += 1
        return self.count


def _stamps(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            with suppress(FileNotFoundError):
                found = path.stat()
                yield path, (found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Undisturbed:
    """What a study gives that nothing happens to."""

    table: dict[int, Row]
    writes: int
    """Changes of files between its start and its end."""


class Bench:
    """Runs studies under one folder; undisturbed ones once each."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._undisturbed: dict[str, Undisturbed] = {}

    def sweep(
        self,
        kind: str,
        label: str,
        faults: Mapping[str, Mapping[str, Any]] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Sweep:
        return Sweep.make(KINDS[kind], self._root / label, faults, arguments)

    def undisturbed(self, kind: str) -> Undisturbed:
        """The table and the length of that study. Raises AssertionError if it is not in order itself."""
        if kind not in self._undisturbed:
            sweep = self.sweep(kind, f"undisturbed-{kind}")
            clock = Writes(sweep.folder)
            driver = sweep.start()
            while driver.process.poll() is None:
                clock.look()
                time.sleep(0.001)
            assert driver.process.returncode == 0, sweep.log.read_text()
            broken = list(judge(sweep, Struck(sweep, driver.process.returncode)))
            assert not broken, "undisturbed: " + "; ".join(map(str, broken))
            self._undisturbed[kind] = Undisturbed(sweep.table(), clock.count)
        return self._undisturbed[kind]


@dataclass
class Struck:
    """A study that faults were injected into, and what they should have done to it."""

    sweep: Sweep
    status: int
    """The last driver's exit status."""
    moments: list[str] = field(default_factory=list)
    """When each of them struck."""
    culprits: dict[int, str] = field(default_factory=dict)
    """The fault of each trial that has one."""
    ends: dict[int, str] = field(default_factory=dict)
    """States of those trials that do not complete."""
    breaches: list[Breach] = field(default_factory=list)
    """What was seen to break on the way."""


def judge(sweep: Sweep, struck: Struck, undisturbed: Undisturbed | None = None) -> Iterator[Breach]:
    """Every invariant, after whatever struck; then the same command once more."""
    yield from struck.breaches
    yield from leftovers(sweep, "after the study")
    if struck.status != 0:
        yield Breach(None, f"the driver ended with status {struck.status}")
    if "Traceback" in sweep.log.read_text():
        yield Breach(None, f"a driver printed a traceback: {sweep.log}")
    kind = sweep.kind
    if not invariants.exists(sweep.folder, kind.name):
        yield Breach(None, "there is no study")
        return
    expected = dataclasses.replace(kind.expected, ends=struck.ends)
    yield from invariants.breaches(sweep.folder, kind.name, expected)
    if undisturbed and kind.repeatable:
        yield from invariants.differences(sweep.table(), undisturbed.table)
    yield from _rerun_breaches(sweep, struck.status)


def _rerun_breaches(sweep: Sweep, status: int) -> Iterator[Breach]:
    before = invariants.content(sweep.folder, sweep.kind.name)
    driver = sweep.start()
    again = sweep.finish(driver)
    if again != status:
        yield Breach(None, f"a rerun ended with status {again}")
    yield from invariants.changes(before, invariants.content(sweep.folder, sweep.kind.name))
    yield from leftovers(sweep, "after the rerun")


def leftovers(sweep: Sweep, when: str) -> Iterator[Breach]:
    for process in invariants.left_running(sweep.mark):
        yield Breach(None, f"{process.pid} still runs {when}: {process.cmdline()}")
        process.kill()
