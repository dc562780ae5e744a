"""A team's stores: MLflow's server over PostgreSQL, Optuna on it too, and the same record as in two files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest
import yaml

from end_to_end.driving import STUDY, command
from seqsweep.tracking.mlflow_store import connect
from tracking.postgres import Postgres
from tracking.serving import TrackingServer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

OF_THE_STUDY = ("mlflow.parentRunId", "seqsweep.study_uid", "seqsweep.command", "seqsweep.working_directory")
"""Tags that no two studies share."""
TIMED = ("system/",)


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """MLflow's server; artifacts go through it."""
    server = TrackingServer(tmp_path_factory.mktemp("server"), postgres.database("mlflow"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of the study in two files."""
    return sweep(tmp_path_factory.mktemp("embedded"))


def sweep(folder: Path, server: str | None = None, storage: str | None = None) -> dict[str, Any]:
    """Run the study in a folder of its own; its record, run by run."""
    (folder / "small.yaml").write_text(STUDY)
    arguments = ["sweep", "small", "--config-dir", ".", "hydra.launcher.workers=4"]
    environment = {key: value for key, value in os.environ.items() if key != "SEQSWEEP_HOME"}
    if server:
        environment["MLFLOW_TRACKING_URI"] = server
    if storage:
        arguments.append(f"hydra.sweeper.storage='{storage}'")
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "optuna.db").exists() == (storage is None)
    assert (folder / "mlflow.db").exists() == (server is None)
    opened = optuna.storages.RDBStorage(storage or f"sqlite:///{folder / 'optuna.db'}")
    try:
        study = optuna.load_study(study_name="small", storage=opened)
        return record(connect(server or f"sqlite:///{folder / 'mlflow.db'}"), study, folder)
    finally:
        opened.remove_session()
        opened.engine.dispose()


def record(client: MlflowClient, study: optuna.Study, folder: Path) -> dict[str, Any]:
    """All that MLflow has of the study, by run, less what tells two studies apart."""
    experiment = client.get_experiment_by_name("seqsweep")
    assert experiment is not None
    uid = study.user_attrs["seqsweep.uid"]
    runs = client.search_runs([experiment.experiment_id], f"tags.`seqsweep.study_uid` = '{uid}'")
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.seqsweep-{uid}"])
    found: dict[str, Any] = {str(run.info.run_name): of_run(client, run, folder) for run in runs}
    found["columns"] = view["selectedColumns"]
    found["trials"] = [(trial.params, trial.values, trial.state) for trial in study.get_trials()]
    return found


def of_run(client: MlflowClient, run: Run, folder: Path) -> dict[str, Any]:
    histories = {
        key: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    tags = {key: value.replace(str(folder), "HERE") for key, value in run.data.tags.items()}
    tags = {key: value for key, value in tags.items() if key not in OF_THE_STUDY}
    tags["mlflow.note.content"] = tags.get("mlflow.note.content", "").partition("\n- ")[0]
    if run.data.tags["seqsweep.kind"] == "study":  # trials end in another order each time
        histories = {key: [values[-1]] for key, values in histories.items()}
    return {
        "status": run.info.status,
        "params": run.data.params,
        "tags": tags,
        "metrics": {key: values for key, values in histories.items() if not key.startswith(TIMED)},
        "timed": sorted(key for key in histories if key.startswith(TIMED)),
        "data": sorted(
            (data.dataset.name, data.dataset.digest, data.tags[0].value) for data in run.inputs.dataset_inputs
        ),
        "artifacts": sorted(artifacts(client, run.info.run_id)),
        "texts": {name: text(client, run, name, folder) for name in ("config.yaml", "study.yaml")},
    }


def artifacts(client: MlflowClient, run: str, folder: str | None = None) -> Iterator[str]:
    for file in client.list_artifacts(run, folder):
        yield from artifacts(client, run, file.path) if file.is_dir else [file.path]


def text(client: MlflowClient, run: Run, name: str, folder: Path) -> Any:
    """What the file says, addresses of stores left out; None if the run has none of that name."""
    if name not in artifacts(client, run.info.run_id):
        return None
    content = Path(client.download_artifacts(run.info.run_id, name, str(folder))).read_text()
    said = yaml.safe_load(content)
    said.get("hydra", {}).get("sweeper", {}).pop("storage", None)
    return said


@pytest.mark.parametrize("studies", ["sqlite", "postgres"])
def test_four_workers_leave_the_same_record(
    server: TrackingServer, postgres: Postgres, embedded: dict[str, Any], tmp_path: Path, studies: str
) -> None:
    storage = postgres.database("studies") if studies == "postgres" else None
    served = sweep(tmp_path, server.uri, storage)
    assert served.keys() == embedded.keys()
    for name, expected in embedded.items():
        assert served[name] == expected, name
    assert len(served) == 11  # eight trials, the study, its columns, its trials in Optuna
    best = served["small"]["tags"]["seqsweep.best_trial"]
    assert "best.ckpt" in served[f"small/{best}"]["artifacts"]
    assert served["small"]["artifacts"][-1] == "study.yaml"
