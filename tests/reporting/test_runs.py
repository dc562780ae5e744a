"""A run is found by what a user calls it, and what cannot be used is one clear line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqsweep.errors import StoreError, StudyError
from seqsweep.reporting.runs import find_run, find_trained
from seqsweep.tracking import Recorder, Spool, State, StudyRecord
from seqsweep.tracking.mlflow_store import connect
from tracking.serving import TrackingServer

ODD = [math.inf, -math.inf, math.nan, 1e-320]


@dataclass
class Store:
    uri: str
    ids: dict[str, str]


def record(
    recorder: Recorder, folder: Path, state: State | None, trial: int | None, *files: str, **tags: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Spool(folder) as spool:
        for name in files:
            (folder / name).write_text(f"{name} of {folder.name}")
            spool.log_artifact(folder / name)
        spool.set_tags(tags)
        spool.log_metrics({"test/accuracy": 0.5}, 1)
        if state is not None:
            spool.end(state)
    recorder.follow(folder, name=f"{folder.parent.name} {folder.name}", trial=trial)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("home")
    uri, artifacts = f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts"
    study = StudyRecord(name="a/study", uid="one", directory=home / "study")
    whole = ("config.yaml", "best.ckpt")
    with Recorder(uri, "tests", artifacts, study, interval=0.05) as recorder:
        record(recorder, home / "study" / "0", "complete", 0, *whole, "data.json")
        record(recorder, home / "study" / "1", "complete", 1, **{"seqsweep.copy_of": "0"})
        record(recorder, home / "study" / "2", "infeasible", 2, "config.yaml")
        record(recorder, home / "study" / "12", None, 12, *whole)
        recorder.study(tags={"seqsweep.best_trial": "0"})
    with Recorder(
        uri, "tests", artifacts, StudyRecord(name="empty", uid="two", directory=home / "e")
    ) as recorder:
        recorder.study(tags={"x": "y"})
    with Recorder(uri, "others", artifacts, interval=0.05) as recorder:
        for number in range(14):  # with the others more than there are first digits of an id
            record(recorder, home / "single" / str(number), "complete", None)
        with Spool(home / "odd") as spool:
            for step, value in enumerate(ODD):
                spool.log_metrics({"val/loss": value}, step)
            spool.end("complete")
        recorder.follow(home / "odd", name="odd")
    client = connect(uri)
    foreign = client.create_run(client.get_experiment_by_name("others").experiment_id, run_name="foreign")
    client.set_terminated(foreign.info.run_id)
    gone = client.create_run(client.get_experiment_by_name("others").experiment_id, run_name="gone")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    ids = {run.info.run_name: run.info.run_id for run in client.search_runs(experiments)}
    client.delete_run(gone.info.run_id)
    yield Store(uri, ids)


def test_by_id_and_by_its_beginning(store: Store) -> None:
    own = store.ids["study 12"]
    assert find_run(store.uri, own).name == "study 12"
    others = [run for run in store.ids.values() if run != own]
    length = next(n for n in range(1, 33) if not any(other.startswith(own[:n]) for other in others))
    assert find_run(store.uri, own[:length]).id == own


def test_by_study(store: Store) -> None:
    assert find_run(store.uri, "a/study/12").id == store.ids["study 12"]
    best = find_run(store.uri, "a/study/best")
    assert (best.id, best.name, best.state) == (store.ids["study 0"], "study 0", "complete")
    assert best.metrics == {"test/accuracy": 0.5}


def test_a_copy_is_its_original(store: Store) -> None:
    assert find_run(store.uri, "a/study/1").name == "study 0"


def test_its_files(store: Store) -> None:
    with find_trained(store.uri, "a/study/0").files("config.yaml", "data.json", "other") as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "data.json"]
        assert (folder / "config.yaml").read_text() == "config.yaml of 0"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zz", "no run 'zz' in sqlite:.*: expected a Run's id, .*; studies there: empty, a/study"),
        ("' or 1=1", "no run '' or 1=1'"),
        ("a/stduy/best", r"no study 'a/stduy' in .*; did you mean 'a/study'\?"),
        ("a/study/7", "the study has no trial 7; its trials are 0 to 12"),
        ("a/study/worst", "expected a/study/best or a/study/NUMBER"),
        ("a/study/-1", "expected a/study/best or a/study/NUMBER"),
        ("empty", "run 'empty' is a study, not a run: empty/best or empty/NUMBER"),
        ("empty/best", "no trial of study 'empty' is complete yet"),
        ("empty/0", "the study has no trial 0; it has none"),
        ("a/study/2", r"run study 2 \(\w{8}\) has no best.ckpt: it is infeasible"),
        ("a/study/12", "is under way, or was cut off"),
    ],
)
def test_what_cannot_be_used(store: Store, name: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as error:
        find_trained(store.uri, name)
    assert "\n" not in str(error.value)


def test_a_beginning_of_several(store: Store) -> None:
    firsts = [run[0] for name, run in store.ids.items() if name != "gone"]
    several = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(
        StudyError, match=rf"run '{several}': {firsts.count(several)} ids begin so, give more of it"
    ):
        find_run(store.uri, several)


def test_a_study_is_no_run(store: Store) -> None:
    with pytest.raises(StudyError, match="is a study, not a run: a/study/best"):
        find_trained(store.uri, store.ids["a/study"])


def test_a_run_of_something_else(store: Store) -> None:
    with pytest.raises(StudyError, match=r"run foreign \(\w{8}\) is not one of seqsweep's"):
        find_trained(store.uri, store.ids["foreign"])


def test_a_deleted_run_can_be_brought_back(store: Store) -> None:
    run = store.ids["gone"]
    with pytest.raises(StudyError, match=rf"was deleted, .*`mlflow runs restore --run-id {run}`"):
        find_run(store.uri, run)


def test_its_history_and_its_study(store: Store) -> None:
    run = find_run(store.uri, "a/study/0")
    assert run.histories() == {"test/accuracy": {1: 0.5}}
    assert run.history("val/loss") == {}
    assert run.study_tags()["seqsweep.best_trial"] == "0"
    assert find_run(store.uri, store.ids["single 3"]).study_tags() == {}
    assert run.threads == 1


def test_numbers_that_a_database_has_not(store: Store) -> None:
    run = find_run(store.uri, store.ids["odd"])
    assert str(list(run.histories()["val/loss"].values())) == str(ODD)


def test_no_store_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no tracking store at .*mlflow\.db"):
        find_run(f"sqlite:///{tmp_path / 'mlflow.db'}", "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_the_files_of_a_server_are_downloaded(tmp_path: Path) -> None:
    server = TrackingServer(tmp_path)
    server.start()
    try:
        with Recorder(server.uri, "tests", tmp_path / "unused", interval=0.05) as recorder:
            record(recorder, tmp_path / "runs" / "one", "complete", None, "config.yaml", "best.ckpt")
        (run,) = connect(server.uri).search_runs([recorder.experiment_id])
        with find_trained(server.uri, run.info.run_id[:8]).files("best.ckpt") as folder:
            assert (folder / "best.ckpt").read_text() == "best.ckpt of one"
    finally:
        server.stop()
    with pytest.raises(StoreError, match="does not answer"):
        find_run(server.uri, "x")
