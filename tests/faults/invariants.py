"""What holds after a study, whatever happened during it: one set of checks for every test that runs one."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import optuna
import psutil
import torch
from mlflow.entities import Metric, Run
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "infeasible": "FAILED"}
"""A Run's status by the trial's state."""

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

MEASURED = "system/"
"""Metrics that say how long something took: no two studies agree on them."""


class Breach(NamedTuple):
    """An invariant that does not hold; without a trial it is the study's."""

    trial: int | None
    text: str

    def __str__(self) -> str:
        return self.text if self.trial is None else f"trial {self.trial}: {self.text}"


@dataclass(frozen=True)
class Expected:
    """What a study is to end with."""

    n_trials: int
    epochs: int | None = None
    """Validations of a complete trial, where that is known."""
    ends: Mapping[int, str] | None = None
    """States of the trials that end otherwise than the others."""
    others: Collection[str] = ("complete",)
    """States the others may end in."""
    own: bool = True
    """Whether the trials are seqsweep's own task, which keeps its configuration and a checkpoint."""
    project: str = "seqsweep"
    metric: str = "val/accuracy"

    def states(self, trial: int) -> Collection[str]:
        return [self.ends[trial]] if self.ends and trial in self.ends else self.others


def check_study(folder: Path, name: str, n_trials: int, epochs: int) -> None:
    """The invariants of a study of seqsweep's own task in which every trial completes."""
    broken = list(breaches(folder, name, Expected(n_trials, epochs)))
    assert not broken, "\n".join(map(str, broken))


def breaches(folder: Path, name: str, expected: Expected) -> Iterator[Breach]:
    """Every invariant that the stores and the study's folder break."""
    study = load(folder, name)
    trials = study.get_trials()
    numbers = [trial.number for trial in trials]
    if numbers != list(range(expected.n_trials)):
        yield Breach(None, f"the study has the trials {numbers}: expected {expected.n_trials}")
    parents, children = stored_runs(folder, expected.project)
    if len(parents) != 1:
        yield Breach(None, f"{len(parents)} parent Runs")
        return
    yield from _parent_breaches(parents[0], study)
    runs: dict[int, list[Run]] = {}
    for run in children:
        runs.setdefault(int(run.data.tags["seqsweep.trial"]), []).append(run)
    for stray in runs.keys() - set(numbers):
        yield Breach(stray, "has a Run but is not in the study")
    for trial in trials:
        if not trial.state.is_finished():
            yield Breach(trial.number, f"is {trial.state.name}")
            continue
        mine = runs.get(trial.number, [])
        if len(mine) != 1:
            yield Breach(trial.number, f"has {len(mine)} Runs")
            continue
        record = _Record(folder, name, trial, mine[0], expected)
        for text in record.breaches(parents[0]):
            yield Breach(trial.number, text)


def _parent_breaches(parent: Run, study: optuna.Study) -> Iterator[Breach]:
    if parent.info.status != "FINISHED":
        yield Breach(None, f"the parent Run is {parent.info.status}")
    counts = Counter(state_of(trial) for trial in study.get_trials())
    told = {
        key.removeprefix("trials/"): int(value)
        for key, value in parent.data.metrics.items()
        if key.startswith("trials/") and value
    }
    if told != counts:
        yield Breach(None, f"the parent Run counts {told}: expected {dict(counts)}")
    if counts["complete"]:
        best, tag = study.best_trial.number, parent.data.tags.get("seqsweep.best_trial")
        if tag != str(best):
            yield Breach(None, f"the parent Run's best trial is {tag}: expected {best}")


class _Record:
    """A finished trial beside its Run and its folder."""

    def __init__(self, home: Path, study: str, trial: FrozenTrial, run: Run, expected: Expected) -> None:
        self.trial, self.run, self.expected = trial, run, expected
        self.folder = home / "multirun" / study / str(trial.number)
        self.client = client(home)
        self.state = state_of(trial)
        self.histories = histories(self.client, run)
        self.values = {metric.step: metric.value for metric in self.histories.get(expected.metric, [])}
        self.artifacts = home / "mlartifacts" / expected.project / run.info.run_id / "artifacts"

    def breaches(self, parent: Run) -> Iterator[str]:
        yield from self._state_breaches(parent)
        yield from self._metric_breaches()
        if self.state == "complete":
            yield from self._value_breaches()
        if self.expected.own:
            yield from self._file_breaches()
        elif not (self.folder / ".hydra" / "config.yaml").is_file():
            yield "its folder has no .hydra/config.yaml"

    def _state_breaches(self, parent: Run) -> Iterator[str]:
        state, run = self.state, self.run
        if state not in self.expected.states(self.trial.number):
            error = self.trial.user_attrs.get("seqsweep.error", "")
            yield f"is {state} ({error}): expected {' or '.join(self.expected.states(self.trial.number))}"
        if run.data.tags.get("seqsweep.state") != state:
            yield f"is {state}, its Run says {run.data.tags.get('seqsweep.state')}"
        if run.info.status != STATUS[state] or not run.info.end_time:
            yield f"is {state}, its Run is {run.info.status}, ended {run.info.end_time}"
        if run.data.tags["mlflow.parentRunId"] != parent.info.run_id:
            yield "its Run has another parent"
        if state in ("failed", "infeasible") and not self.trial.user_attrs.get("seqsweep.error"):
            yield f"is {state} and does not say why"
        for key, value in self.trial.params.items():
            if key != "model" and run.data.params.get(key) != str(value):  # a group: its keys say it
                yield f"{key}={value}, its Run has {run.data.params.get(key)}"

    def _metric_breaches(self) -> Iterator[str]:
        for key, history in self.histories.items():
            steps = [metric.step for metric in history]
            if steps != sorted(set(steps)):
                yield f"{key} has the steps {steps}: expected each once, in order"
        for step, value in self.trial.intermediate_values.items():
            if not _same(self.values.get(step), value):
                yield f"reported {value} at step {step}, its Run has {self.values.get(step)}"

    def _value_breaches(self) -> Iterator[str]:
        metric, trial = self.expected.metric, self.trial
        if self.trial.intermediate_values.keys() != self.values.keys():
            yield f"{metric} has the steps {list(self.values)}: reported {list(trial.intermediate_values)}"
        if self.expected.epochs is not None and len(self.values) != self.expected.epochs:
            yield f"{len(self.values)} validations: expected {self.expected.epochs}"
        if self.run.data.metrics.get(f"best/{metric}") != trial.value:
            yield f"its value is {trial.value}, best/{metric} is {self.run.data.metrics.get(f'best/{metric}')}"
        # another application's function returns what it likes
        if self.expected.own and trial.value != max(self.values.values(), default=None):
            yield f"its value is {trial.value}, the best of {self.values} is another"

    def _file_breaches(self) -> Iterator[str]:
        config = self.folder / "config.yaml"
        if not config.is_file():
            yield "its folder has no config.yaml"
        else:
            loaded = OmegaConf.load(config)
            for key, value in self.trial.params.items():
                if key != "model" and OmegaConf.select(loaded, key) != value:
                    yield f"{key}={value}, its config.yaml has {OmegaConf.select(loaded, key)}"
        kept = ["config.yaml"]
        # a checkpoint is written before the report leaves
        if self.trial.intermediate_values:
            kept.append("best.ckpt")
            yield from _checkpoint_breaches(self.folder / "best.ckpt")
        for name in kept:
            artifact, file = self.artifacts / name, self.folder / name
            if not artifact.is_file():
                yield f"its Run has no {name}"
            elif file.is_file() and artifact.read_bytes() != file.read_bytes():
                yield f"its Run's {name} is not the folder's"
        if self.state == "complete":
            left = [path.name for path in self.folder.iterdir() if path.name.endswith((".part", "last.ckpt"))]
            if left:
                yield f"left {left} behind"


def _checkpoint_breaches(path: Path) -> Iterator[str]:
    try:
        loaded = torch.load(path, weights_only=True)
    except Exception as error:  # whatever is wrong with it
        yield f"{path.name} cannot be loaded: {error}"
        return
    if not loaded.get("state_dict"):
        yield f"{path.name} holds no weights"


# ---------------------------------------------------------------- reading the stores


def load(folder: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")


def exists(folder: Path, name: str) -> bool:
    return name in optuna.get_all_study_names(f"sqlite:///{folder / 'optuna.db'}")


def client(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def stored_runs(folder: Path, project: str = "seqsweep") -> tuple[list[Run], list[Run]]:
    """Parent and child Runs in the folder's MLflow store."""
    store = client(folder)
    experiment = store.get_experiment_by_name(project)
    assert experiment is not None
    runs = store.search_runs([experiment.experiment_id], max_results=1000)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return [run for run in runs if run not in children], children


def state_of(trial: FrozenTrial) -> str:
    """complete, pruned, failed or infeasible, as our tables name it."""
    return str(trial.user_attrs.get("seqsweep.state") or STATES.get(trial.state, trial.state.name))


def histories(store: mlflow.MlflowClient, run: Run) -> dict[str, list[Metric]]:
    """Every metric of the Run in the order in which it was recorded."""
    found = {key: store.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {
        key: sorted(history, key=lambda metric: (metric.timestamp, metric.step))
        for key, history in found.items()
    }


@dataclass(frozen=True)
class Row:
    """All that two studies of the same trials agree on, bit for bit."""

    params: dict[str, Any]
    values: list[float] | None
    state: str
    metrics: dict[tuple[str, int], float]
    reported: int
    """The last step whose value left the trial; -1 if none did."""


def table(folder: Path, name: str, project: str = "seqsweep") -> dict[int, Row]:
    """The study's trials by number."""
    _, children = stored_runs(folder, project)
    runs = {int(run.data.tags["seqsweep.trial"]): run for run in children}
    store = client(folder)
    rows = {}
    for trial in load(folder, name).get_trials():
        run = runs.get(trial.number)
        metrics = {
            (key, metric.step): metric.value
            for key, history in (histories(store, run) if run else {}).items()
            for metric in history
            if not key.startswith(MEASURED)
        }
        reported = max(trial.intermediate_values, default=-1)
        rows[trial.number] = Row(trial.params, trial.values, state_of(trial), metrics, reported)
    return rows


def differences(found: Mapping[int, Row], undisturbed: Mapping[int, Row]) -> Iterator[Breach]:
    """Where two tables are not the same.

    Of a trial that did not complete, what it recorded up to its last report is
    compared. The best trial's test is left out where another may be the best one.
    """
    same_best = all(row.state == "complete" for row in found.values())
    for number, row in found.items():
        other = undisturbed[number]
        if row.params != other.params:
            yield Breach(number, f"params {row.params}: undisturbed {other.params}")
        if row.state == "complete" and row.values != other.values:
            yield Breach(number, f"values {row.values}: undisturbed {other.values}")
        mine, theirs = (_comparable(one, row, same_best) for one in (row, other))
        for place in sorted(mine.keys() | theirs.keys()):
            if mine.get(place) != theirs.get(place):
                text = f"{place} is {mine.get(place)!r}: undisturbed {theirs.get(place)!r}"
                yield Breach(number, text)


def _comparable(row: Row, disturbed: Row, tested: bool) -> dict[tuple[str, int], float]:
    left_out: tuple[str, ...] = () if tested else ("test/",)
    if disturbed.state == "complete":
        return {place: value for place, value in row.metrics.items() if not place[0].startswith(left_out)}
    left_out += ("best/",)
    return {
        (key, step): value
        for (key, step), value in row.metrics.items()
        if step <= disturbed.reported and not key.startswith(left_out)
    }


def told(folder: Path) -> int:
    """How many trials have ended, by Optuna's store; quick enough to be asked all the time."""
    file = folder / "optuna.db"
    if not file.is_file():
        return 0
    store = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        states = "state IN ('COMPLETE', 'PRUNED', 'FAIL')"
        return int(store.execute(f"SELECT count(*) FROM trials WHERE {states}").fetchone()[0])
    except sqlite3.OperationalError:  # no tables yet, or its writer is at work
        return 0
    finally:
        store.close()


def content(folder: Path, name: str) -> dict[str, Any]:
    """Both stores' rows by table, and what the files of the study's folder hold."""
    rows: dict[str, Any] = {}
    for file in ("optuna.db", "mlflow.db"):
        with sqlite3.connect(f"file:{folder / file}?mode=ro", uri=True) as store:
            tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (found,) in tables:
                rows[f"{file} {found}"] = sorted(map(repr, store.execute(f'SELECT * FROM "{found}"')))
        store.close()
    study = folder / "multirun" / name
    files = {path for path in (*study.rglob("*"), *(folder / "mlartifacts").rglob("*")) if path.is_file()}
    for path in files - {study / ".seqsweep" / "driver.lock"}:  # it holds the last driver's process
        rows[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return rows


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Breach]:
    """What a rerun of a finished study has changed."""
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    if changed:
        yield Breach(
            None, f"a rerun changed {len(changed)} tables and files, such as {', '.join(changed[:6])}"
        )
    for key in changed[:6]:
        if isinstance(before.get(key), list) and isinstance(after.get(key), list):
            gone, come = set(before[key]) - set(after[key]), set(after[key]) - set(before[key])
            yield Breach(None, f"{key}: {sorted(gone)[:2]} -> {sorted(come)[:2]}")


# ---------------------------------------------------------------- processes


def left_running(mark: str, within: float = 20.0) -> list[psutil.Process]:
    """Processes that were started with `mark` in their environment and still run after a while.

    A worker whose driver is gone may take its ten seconds for a checkpoint.
    """
    end = time.monotonic() + within
    while (left := _marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # it has just ended, or belongs to somebody else
    return found


def _same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))
