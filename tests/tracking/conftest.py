"""A tracking store of its own for each test, copied from one that is made once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from seqsweep.tracking import Recorder, StudyRecord
from seqsweep.tracking.mlflow_store import connect

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Store:
    """A real MLflow store in a test's folder, and short ways to look into it."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "mlartifacts"

    def recorder(self, study: StudyRecord | None = None, **options: Any) -> Recorder:
        return Recorder(self.uri, "tests", self.artifacts, study, **{"interval": 0.05, **options})

    def client(self) -> Any:
        return connect(self.uri)

    def runs(self, **tags: str) -> list[Any]:
        client = self.client()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        condition = " and ".join(f"tags.`seqsweep.{key}` = '{value}'" for key, value in tags.items())
        # two runs may begin in the same millisecond
        order = ["attributes.start_time ASC", "tags.`seqsweep.trial` ASC"]
        return list(client.search_runs(experiments, condition, order_by=order))

    def run(self, **tags: str) -> Any:
        (run,) = self.runs(**tags)
        return run

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in self.client().get_metric_history(run_id, key)]


@pytest.fixture(autouse=True)
def outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is under way in the repository of these tests is not recorded."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    connect(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Store:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Store(tmp_path)


@pytest.fixture
def study(tmp_path: Path) -> StudyRecord:
    return StudyRecord(
        "digits",
        "uid-of-digits",
        params={"n_trials": 3},
        directory=tmp_path / "multirun" / "digits",
        metric="best/val/accuracy",
        direction="maximize",
        searched=("model", "optimizer.lr"),
    )
