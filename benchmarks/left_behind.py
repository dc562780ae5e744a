"""What the same small sweep leaves behind: ours, and Lightning with MLFlowLogger and Optuna (stock.py).

    .venv/bin/python benchmarks/left_behind.py

Six configurations of a GRU on scikit-learn's digits, eight epochs each, pruned by the median. Each
cell of the table is read from the stores and folders that the two leave; nothing is typed in. Then
both are killed in the middle and the same command is typed again. Writes
benchmarks/results/left_behind.md.
"""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run

HERE = Path(__file__).parent
RESULT = HERE / "results" / "left_behind.md"
STUDY = """\
defaults:
  - train
  - override data: digits
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
threads: 1
trainer: {max_epochs: 8, log_every_n_steps: 10}
hydra:
  launcher: {workers: 1}
  sweeper:
    metric: val/accuracy
    direction: maximize
    n_trials: 6
    sampler: {_target_: optuna.samplers.GridSampler, seed: 0}
    pruner: {_target_: optuna.pruners.MedianPruner, n_startup_trials: 2, n_warmup_steps: 73}
    params:
      model.hidden_size: choice(32, 64)
      optimizer.lr: choice(0.0003, 0.003, 0.01)
"""
OURS = [sys.executable, "-m", "seqsweep", "sweep", "stock", "--config-dir", "."]
STOCK = [sys.executable, str(HERE / "stock.py")]


@dataclass
class Left:
    """What a sweep left in a folder."""

    folder: Path
    command: list[str]
    hidden: str
    """The parameter that holds the hidden size."""

    @cached_property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    @cached_property
    def experiments(self) -> list[str]:
        return [each.experiment_id for each in self.client.search_experiments()]

    @cached_property
    def runs(self) -> list[Run]:
        return list(self.client.search_runs(self.experiments))

    @cached_property
    def trials(self) -> list[Run]:
        """The Runs that trained something."""
        return [run for run in self.runs if "train/loss" in run.data.metrics]

    @cached_property
    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="stock", storage=f"sqlite:///{self.folder / 'optuna.db'}")

    @cached_property
    def files(self) -> dict[str, list[str]]:
        """Every artifact's path, by Run."""
        return {run.info.run_id: sorted(self._artifacts(run.info.run_id)) for run in self.runs}

    def _artifacts(self, run: str, folder: str | None = None) -> Iterator[str]:
        for file in self.client.list_artifacts(run, folder):
            yield from self._artifacts(run, file.path) if file.is_dir else [file.path]

    def of_trials(self, holds: Callable[[Run], bool]) -> str:
        return _share(sum(map(holds, self.trials)), len(self.trials))

    def with_file(self, *ends: str) -> str:
        return self.of_trials(lambda run: any(name.endswith(ends) for name in self.files[run.info.run_id]))

    def tagged(self, *beginnings: str) -> str:
        return self.of_trials(lambda run: any(key.startswith(beginnings) for key in run.data.tags))

    def measured(self, *beginnings: str) -> str:
        return self.of_trials(lambda run: any(key.startswith(beginnings) for key in run.data.metrics))

    def points(self, key: str) -> str:
        counts = [len(self.client.get_metric_history(run.info.run_id, key)) for run in self.trials]
        return f"{statistics.median(counts):.0f}"


def _share(part: int, whole: int) -> str:
    return "no" if part == 0 else "yes" if part == whole else f"{part} of {whole}"


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _best_logged(left: Left, run: Run) -> bool:
    """Whether a value of the Run's own is the best of its validations."""
    history = left.client.get_metric_history(run.info.run_id, "val/accuracy")
    best = max((metric.value for metric in history), default=None)
    others = {key: value for key, value in run.data.metrics.items() if key != "val/accuracy"}
    return best is not None and best in [
        value for key, value in others.items() if key.endswith("val/accuracy")
    ]


def _same_value(left: Left) -> str:
    """Complete trials whose value in Optuna stands in a metric of some Run, other than a curve's end."""
    known = {
        round(value, 6)
        for run in left.trials
        for key, value in run.data.metrics.items()
        if key != "val/accuracy"
    }
    complete = [trial for trial in left.study.get_trials() if trial.state.name == "COMPLETE"]
    return _share(sum(round(trial.value or 0, 6) in known for trial in complete), len(complete))


def _pruned_apart(left: Left) -> str:
    """What MLflow says of the trials that were pruned, beside what it says of the failed ones: FAILED."""
    pruned = sum(trial.state.name == "PRUNED" for trial in left.study.get_trials())
    statuses = Counter(run.info.status for run in left.trials)
    return f"{pruned} pruned; Runs: {_said(statuses)}"


def _command(run: Run, left: Left) -> bool:
    """Whether some tag holds what was typed after ``python``, or ``python -m``."""
    words = left.command[1:] if left.command[1] != "-m" else left.command[2:]
    return any(all(word in value for word in words) for value in run.data.tags.values())


def _models(left: Left) -> str:
    models = left.client.search_logged_models(left.experiments)
    loadable = [name for names in left.files.values() for name in names if name.endswith("MLmodel")]
    return f"{max(len(models), len(loadable))}" if models or loadable else "no"


ROWS: dict[str, Callable[[Left], str]] = {
    "trials in Optuna by state": lambda left: _said(
        Counter(trial.state.name.lower() for trial in left.study.get_trials())
    ),
    "values reported to Optuna along the way": lambda left: str(
        sum(len(trial.intermediate_values) for trial in left.study.get_trials())
    ),
    "Runs that trained": lambda left: str(len(left.trials)),
    "a Run of the study, the trials its children": lambda left: left.tagged("mlflow.parentRunId"),
    "a pruned trial is told from a failed one": _pruned_apart,
    "the trial's number, to find the Run by": lambda left: left.of_trials(
        lambda run: "seqsweep.trial" in run.data.tags or "trial " in str(run.info.run_name)
    ),
    "parameters of a Run (median)": lambda left: (
        f"{statistics.median(len(run.data.params) for run in left.trials):.0f}"
    ),
    "the searched parameters among them": lambda left: left.of_trials(
        lambda run: left.hidden in run.data.params
    ),
    "the resolved configuration as a file": lambda left: left.with_file("config.yaml"),
    "points of `train/loss` (median)": lambda left: left.points("train/loss"),
    "points of `val/accuracy` (median)": lambda left: left.points("val/accuracy"),
    "the best validation's value as a metric": lambda left: left.of_trials(
        lambda run: _best_logged(left, run)
    ),
    "Optuna's value is one of MLflow's": _same_value,
    "gradient norms": lambda left: left.of_trials(
        lambda run: any("gradient" in key for key in run.data.metrics)
    ),
    "Runs with test metrics (ours: of the best trial)": lambda left: left.measured("test/"),
    "processor, memory, device over time": lambda left: left.measured("system/"),
    "steps a second": lambda left: left.of_trials(
        lambda run: any("per_second" in key for key in run.data.metrics)
    ),
    "the checkpoint": lambda left: left.with_file(".ckpt"),
    "models for `mlflow.pyfunc.load_model`": _models,
    "pictures": lambda left: str(
        sum(name.endswith(".png") for run in left.trials for name in left.files[run.info.run_id])
    ),
    "the data set with its digest": lambda left: left.of_trials(lambda run: bool(run.inputs.dataset_inputs)),
    "the commit": lambda left: left.tagged("mlflow.source.git.commit"),
    "what the code differed by from it": lambda left: _share(
        sum(name.endswith(".diff") for names in left.files.values() for name in names[:]), 1
    ),
    "the command, to be typed again": lambda left: left.of_trials(lambda run: _command(run, left)),
    "versions of the libraries": lambda left: left.tagged("seqsweep.version", "version"),
    "the device, the threads": lambda left: left.tagged("seqsweep.device", "device"),
    "importance of the parameters in MLflow": lambda left: _share(
        any("importance" in key for run in left.runs for key in run.data.metrics), 1
    ),
    "pages with plots of the study": lambda left: (
        ", ".join(sorted({path.name for path in left.folder.rglob("*.html")})) or "no"
    ),
    "a report in the study's Run": lambda left: _share(
        any(name.endswith(".html") for names in left.files.values() for name in names), 1
    ),
    "a table in MLflow's UI with value and varying parameters": lambda left: _share(
        any("sharedViewState" in key for each in left.client.search_experiments() for key in each.tags), 1
    ),
}
KILLED: dict[str, Callable[[Left], str]] = {
    "killed in the middle, typed again: trials": lambda left: _said(
        Counter(trial.state.name.lower() for trial in left.study.get_trials())
    ),
    "killed in the middle, typed again: Runs": lambda left: _said(
        Counter(run.info.status for run in left.runs if run.data.tags.get("seqsweep.kind") != "study")
    ),
}


def run(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Begin the sweep in a new repository with a change in it, so that there is something to record."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "SEQSWEEP"))
    }
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def prepare(folder: Path) -> None:
    (folder / "stock.yaml").write_text("# as committed\n")
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    for arguments in (["init", "-q"], ["add", "stock.yaml"], ["commit", "-q", "-m", "begin"]):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    (folder / "stock.yaml").write_text(STUDY)


def whole(command: list[str], hidden: str, folder: Path) -> Left:
    """What is left when it has ended by itself."""
    prepare(folder)
    _finish(run(command, folder), folder)
    return Left(folder, command, hidden)


def killed(command: list[str], hidden: str, folder: Path) -> Left:
    """What is left when it was killed after two trials, while the third was training, and run again."""
    prepare(folder)
    process = run(command, folder)
    while _states(folder).count("RUNNING") < 1 or len(_states(folder)) < 3:
        assert process.poll() is None, (folder / "output.log").read_text()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _finish(run(command, folder), folder)
    return Left(folder, command, hidden)


def _finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.wait() == 0, (folder / "output.log").read_text()


def _states(folder: Path) -> list[str]:
    try:
        if not (folder / "optuna.db").exists():
            return []
        study = optuna.load_study(study_name="stock", storage=f"sqlite:///{folder / 'optuna.db'}")
        return [trial.state.name for trial in study.get_trials()]
    except Exception:  # its tables are being made
        return []


def table(ours: Left, stock: Left, rows: dict[str, Callable[[Left], str]]) -> Iterator[str]:
    for what, ask in rows.items():
        yield f"| {what} | {ask(ours)} | {ask(stock)} |"


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    sweeps = ((OURS, "model.hidden_size"), (STOCK, "hidden_size"))
    lines = ["| left behind | seqsweep | Lightning + MLFlowLogger + Optuna |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, name) for name in ("ours", "stock", "ours-killed", "stock-killed")]
        for folder in folders:
            folder.mkdir()
        undisturbed = [whole(*sweep, folder) for sweep, folder in zip(sweeps, folders[:2], strict=True)]
        lines += table(*undisturbed, ROWS)
        disturbed = [killed(*sweep, folder) for sweep, folder in zip(sweeps, folders[2:], strict=True)]
        lines += table(*disturbed, KILLED)
    written = [sum(map(bool, text.splitlines())) for text in (STUDY, (HERE / "stock.py").read_text())]
    lines.append(f"| lines that a user writes | {written[0]} | {written[1]} |")
    about = (
        "# What a sweep leaves behind\n\nWritten by `benchmarks/left_behind.py`, which ran both and read "
        f"their stores; Python {platform.python_version()}. `yes` and `no` are of all Runs that trained.\n"
    )
    text = "\n".join([about, *lines, ""])
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
