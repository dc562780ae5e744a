from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from seqsweep.errors import RecordError
from seqsweep.tracking import Dataset, Recorder, Spool, State, StudyRecord
from seqsweep.tracking.draining import Place
from seqsweep.tracking.mlflow_store import MlflowStore, clean_key
from seqsweep.tracking.records import spool_file

if TYPE_CHECKING:
    from pathlib import Path


def train(directory: Path, state: State | None = "complete", epochs: int = 3) -> Path:
    """What a trial leaves: metrics by step, its config, its end."""
    with Spool(directory) as spool:
        spool.log_params({"optimizer.lr": 0.1})
        for step in range(epochs):
            spool.log_metrics({"val/accuracy": 0.5 + step / 10, "train/loss": 1 / (step + 1)}, step)
        (directory / "config.yaml").write_text("seed: 1\n")
        spool.log_artifact(directory / "config.yaml")
        if state:
            spool.log_metrics({"best/val/accuracy": 0.7}, epochs - 1)
            spool.end(state)
    return directory


def test_a_study_is_one_parent_and_a_child_a_trial(store: Any, study: StudyRecord) -> None:
    states: list[State] = ["complete", "pruned", "failed", "infeasible"]
    with store.recorder(study) as recorder:
        for number, state in enumerate(states):
            folder = train(study.folder / str(number), state)
            recorder.follow(folder, f"digits/{number}", {"device": "cpu"}, {"model": "gru"}, trial=number)
        recorder.study({"best/val/accuracy": 0.7}, {"seqsweep.counts": "4"})
        recorder.finish("complete")
        assert recorder.drain(60)
        parent_id, child_id = recorder.parent_run_id, recorder.run_id(study.folder / "0")
    parent = store.run(kind="study")
    children = store.runs(kind="trial")
    assert [parent.info.run_id, children[0].info.run_id] == [parent_id, child_id]
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"n_trials": "3"}
    assert parent.data.metrics == {"best/val/accuracy": 0.7}
    assert [run.info.status for run in children] == ["FINISHED", "KILLED", "FAILED", "FAILED"]
    assert [run.data.tags["seqsweep.state"] for run in children] == states
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent_id}
    assert [run.data.tags["seqsweep.trial"] for run in children] == ["0", "1", "2", "3"]
    first = children[0]
    assert first.info.run_name == "digits/0"
    assert first.data.params == {"model": "gru", "optimizer.lr": "0.1"}
    assert first.data.tags["seqsweep.study"] == "digits"
    assert first.data.tags["device"] == "cpu"
    assert first.data.tags["seqsweep.version.mlflow"].startswith("3.")
    assert store.history(child_id, "val/accuracy") == [(0, 0.5), (1, 0.6), (2, 0.7)]
    assert [file.path for file in store.client().list_artifacts(child_id)] == ["config.yaml"]
    assert str(store.artifacts) in first.info.artifact_uri


def test_the_experiment_holds_the_view_of_the_study(store: Any, study: StudyRecord) -> None:
    with store.recorder(study) as recorder:
        recorder.drain(60)
        experiment = store.client().get_experiment(recorder.experiment_id)
    view = experiment.tags["mlflow.sharedViewState.seqsweep-uid-of-digits"]
    assert '"metrics.`best/val/accuracy`", "params.`model`", "params.`optimizer.lr`"' in view
    assert '"orderByAsc": false' in view


def test_original_times_are_kept(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0")
    began, ended = (record_times(folder)[place] for place in (0, -1))
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
    info = store.run(kind="trial").info
    assert (info.start_time, info.end_time) == (began, ended)


def record_times(folder: Path) -> list[int]:
    import json

    return [json.loads(line)[1] for line in spool_file(folder).read_text().splitlines()]


def test_not_a_number_and_infinity_are_stored_and_drained_again_without_a_second_row(
    store: Any, study: StudyRecord
) -> None:
    values = [math.nan, math.inf, -math.inf, 1.0]
    folder = study.folder / "0"
    with Spool(folder) as spool:
        for step, value in enumerate(values):
            spool.log_metrics({"train/loss": value}, step)
        spool.end("complete")
    for _ in range(2):
        with store.recorder(study) as recorder:
            recorder.follow(folder, "0", trial=0)
        spool_file(folder).with_suffix(".offset").unlink()
    history = store.history(store.run(kind="trial").info.run_id, "train/loss")
    assert [step for step, _ in history] == [0, 1, 2, 3]
    assert math.isnan(history[0][1])
    assert history[1][1] > 1e308 > -1e308 > history[2][1]


def test_draining_again_from_the_beginning_adds_nothing(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0", epochs=5)
    for _ in range(3):
        with store.recorder(study) as recorder:
            recorder.follow(folder, "0", {"a": "b"}, {"c": 1}, trial=0)
            recorder.finish("complete")
        spool_file(folder).with_suffix(".offset").unlink()
        spool_file(study.folder).with_suffix(".offset").unlink()
    run = store.run(kind="trial")
    assert run.info.status == "FINISHED"
    assert [step for step, _ in store.history(run.info.run_id, "val/accuracy")] == list(range(5))


def test_a_test_after_the_end_belongs_to_the_same_finished_run(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0")
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
        recorder.drain(60)
        with Spool(folder) as spool:
            spool.log_metrics({"test/accuracy": 0.9}, 2)
        recorder.follow(folder, "0", trial=0)
    run = store.run(kind="trial")
    assert run.data.metrics["test/accuracy"] == 0.9
    assert run.info.status == "FINISHED"


def test_another_attempt_after_a_failure_runs_again_in_the_same_run(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0", "failed", epochs=2)
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
        recorder.drain(60)
        with Spool(folder) as spool:
            spool.log_metrics({"val/accuracy": 0.1}, 1)
            spool.log_metrics({"val/accuracy": 0.9}, 2)
        recorder.follow(folder, "0", trial=0)
        recorder.drain(60)
        running = store.run(kind="trial")
        assert running.info.status == "RUNNING"
        assert "seqsweep.state" not in running.data.tags
        with Spool(folder) as spool:
            spool.end("complete")
        recorder.follow(folder, "0", trial=0)
    run = store.run(kind="trial")
    assert (run.info.status, run.data.tags["seqsweep.state"]) == ("FINISHED", "complete")
    assert store.history(run.info.run_id, "val/accuracy") == [(0, 0.5), (1, 0.6), (2, 0.9)]


def test_an_interrupted_study_goes_on_in_the_same_runs(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0", None, epochs=2)
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
        recorder.finish("interrupted")
    assert store.run(kind="study").info.status == "KILLED"
    assert store.run(kind="trial").info.status == "RUNNING"
    with store.recorder(study) as recorder:
        train(folder, "complete", epochs=4)
        recorder.follow(folder, "0", trial=0)
        recorder.drain(60)
        assert store.run(kind="study").info.status == "RUNNING"
        recorder.finish("complete")
    assert store.run(kind="study").info.status == "FINISHED"
    assert [step for step, _ in store.history(store.run(kind="trial").info.run_id, "val/accuracy")] == [
        0,
        1,
        2,
        3,
    ]


def test_a_finished_study_opened_again_is_left_as_it_is(store: Any, study: StudyRecord) -> None:
    for _ in range(2):
        with store.recorder(study) as recorder:
            recorder.follow(train(study.folder / "0"), "0", trial=0)
            recorder.finish("complete")
        end = store.run(kind="study").info.end_time
    with store.recorder(study) as recorder:
        recorder.follow(study.folder / "0", "0", trial=0)
        recorder.finish("complete")
    run = store.run(kind="study")
    assert (run.info.status, run.info.end_time) == ("FINISHED", end)


def test_studies_of_one_name_are_two(store: Any, tmp_path: Path) -> None:
    for uid in ("first", "second"):
        with store.recorder(StudyRecord("digits", uid, directory=tmp_path / uid)):
            pass
    assert len(store.runs(kind="study", study="digits")) == 2


def test_a_single_run_is_found_again_by_its_folder(store: Any, tmp_path: Path) -> None:
    folder = train(tmp_path / "outputs" / "1", None, epochs=2)
    for state in (None, "complete"):
        with store.recorder() as recorder:
            recorder.follow(folder, "digits", params={"seed": 1})
            train(folder, state)  # type: ignore[arg-type]
    run = store.run(kind="run")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "1", "optimizer.lr": "0.1"}
    assert "mlflow.parentRunId" not in run.data.tags


def test_another_store_gets_everything(store: Any, study: StudyRecord, empty_store: Path) -> None:
    folder = train(study.folder / "0")
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
    (store.folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
    assert len(store.history(store.run(kind="trial").info.run_id, "val/accuracy")) == 3


def record(store: Any, study: StudyRecord, *trials: int, begun: int) -> None:
    """A driver's work on a study in whose store are `begun` trials already."""
    with store.recorder(replace(study, begun=begun)) as recorder:
        for trial in trials:
            folder = study.folder / str(trial)
            recorder.follow(folder if folder.is_dir() else train(folder), str(trial), trial=trial)


def trials(store: Any) -> list[str]:
    return sorted(run.data.tags["seqsweep.trial"] for run in store.runs(kind="trial"))


@pytest.mark.parametrize("deleted", ["0", "1"])
def test_a_deleted_run_of_a_finished_trial_stays_deleted(
    store: Any, study: StudyRecord, deleted: str
) -> None:
    record(store, study, 0, 1, begun=0)
    store.client().delete_run(store.run(trial=deleted).info.run_id)
    record(store, study, 0, 1, 2, begun=2)
    assert trials(store) == sorted({"0", "1", "2"} - {deleted})


def test_a_trial_that_goes_on_does_so_in_its_run(store: Any, study: StudyRecord) -> None:
    train(study.folder / "1", None, epochs=2)
    with store.recorder(replace(study, begun=0)) as recorder:
        recorder.follow(train(study.folder / "0"), "0", trial=0)
        recorder.follow(study.folder / "1", "1", {"tag": "first"}, {"seed": 1}, trial=1)
    train(study.folder / "1", "complete", epochs=4)
    with store.recorder(replace(study, begun=2)) as recorder:
        recorder.follow(study.folder / "0", "0", trial=0)
        recorder.follow(study.folder / "1", "1", {"tag": "later"}, {"seed": 2}, trial=1)
    run = store.run(trial="1")
    assert trials(store) == ["0", "1"]
    assert [step for step, _ in store.history(run.info.run_id, "val/accuracy")] == [0, 1, 2, 3]
    assert (run.data.params["seed"], run.data.tags["tag"]) == ("1", "later")


def test_a_run_found_running_is_told_once(
    store: Any, study: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.recorder(study) as recorder:
        recorder.follow(train(study.folder / "0", None, epochs=2), "0", trial=0)
    sent: list[int] = []
    log = MlflowStore.log

    def count(self: MlflowStore, run_id: str, metrics: Any = (), *rest: Any) -> None:
        sent.append(len(list(metrics)))
        log(self, run_id, metrics, *rest)

    monkeypatch.setattr(MlflowStore, "log", count)
    with store.recorder(study) as recorder:
        recorder.follow(train(study.folder / "0", epochs=4), "0", trial=0)
        assert recorder.drain(60)
        with Spool(study.folder / "0") as spool:
            spool.log_metrics({"test/accuracy": 0.5}, 4)
        recorder.follow(study.folder / "0", "0", trial=0)
    assert sum(sent) == 2 * 2 + 1 + 1  # two epochs' two metrics, the best, the test
    assert store.run(trial="0").info.status == "FINISHED"


def test_a_run_whose_driver_was_killed_before_it_noted_it_is_found(store: Any, study: StudyRecord) -> None:
    record(store, study, 0, 1, begun=0)
    spool_file(study.folder / "1").with_suffix(".offset").unlink()
    record(store, study, 0, 1, begun=2)
    assert trials(store) == ["0", "1"]


def test_another_store_gets_the_rest_after_a_kill_between(
    store: Any, study: StudyRecord, empty_store: Path
) -> None:
    record(store, study, 0, 1, 2, begun=0)
    (store.folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    killed = store.recorder(replace(study, begun=3))
    killed.follow(study.folder / "2", "2", trial=2)
    assert killed.drain(60)
    assert trials(store) == ["2"]
    record(store, study, 0, 1, 2, begun=3)
    assert trials(store) == ["0", "1", "2"]


@pytest.mark.parametrize("killed", [False, True])
def test_an_older_copy_of_the_store_gets_what_it_lacks(store: Any, study: StudyRecord, killed: bool) -> None:
    record(store, study, 0, begun=0)
    older = (store.folder / "mlflow.db").read_bytes()
    record(store, study, 0, 1, 2, begun=1)
    (store.folder / "mlflow.db").write_bytes(older)
    if killed:
        recorder = store.recorder(replace(study, begun=3))
        recorder.follow(study.folder / "2", "2", trial=2)
        assert recorder.drain(60)
        assert trials(store) == ["0", "2"]
    record(store, study, 0, 1, 2, begun=3)
    assert trials(store) == ["0", "1", "2"]


def test_a_copy_of_the_store_from_before_the_last_end_gets_that_too(store: Any, study: StudyRecord) -> None:
    file = store.folder / "mlflow.db"
    train(study.folder / "2", None, epochs=2)
    with store.recorder(replace(study, begun=0)) as recorder:
        for trial in (0, 1):
            recorder.follow(train(study.folder / str(trial)), str(trial), trial=trial)
        recorder.follow(study.folder / "2", "2", trial=2)
        assert recorder.drain(60)
        older = file.read_bytes()
        train(study.folder / "2", "complete", epochs=4)
        recorder.follow(study.folder / "2", "2", trial=2)
        recorder.finish("complete")
    file.write_bytes(older)
    with store.recorder(replace(study, begun=3)) as recorder:
        for trial in range(3):
            recorder.follow(study.folder / str(trial), str(trial), trial=trial)
        recorder.finish("complete")
    run = store.run(trial="2")
    assert (run.info.status, run.data.tags["seqsweep.state"]) == ("FINISHED", "complete")
    assert [step for step, _ in store.history(run.info.run_id, "val/accuracy")] == [0, 1, 2, 3]
    assert store.run(kind="study").info.status == "FINISHED"


def test_an_older_copy_of_the_project_finds_the_runs_that_came_later(store: Any, study: StudyRecord) -> None:
    import shutil

    record(store, study, 0, 1, begun=0)
    shutil.copytree(study.folder, store.folder / "copy")
    record(store, study, 0, 1, 2, 3, begun=2)
    shutil.rmtree(study.folder)
    (store.folder / "copy").rename(study.folder)
    record(store, study, 0, 1, 2, 3, begun=2)
    assert trials(store) == ["0", "1", "2", "3"]


def test_under_a_new_run_of_the_study_hang_all_its_trials(store: Any, study: StudyRecord) -> None:
    record(store, study, 0, 1, begun=0)
    store.client().delete_run(store.run(kind="study").info.run_id)
    record(store, study, 0, 1, 2, begun=2)
    parents = {run.data.tags["mlflow.parentRunId"] for run in store.runs(kind="trial")}
    assert parents == {store.run(kind="study").info.run_id}


def test_killed_while_a_run_is_taken_up_again_it_is_the_next_time(store: Any, study: StudyRecord) -> None:
    for state in ("interrupted", "complete", "complete"):
        with store.recorder(replace(study, begun=0)) as recorder:
            recorder.study(tags={"told": state})
            recorder.finish(state)
        # as a driver leaves it that is killed after it told the store, and before it could note it
        client, run = store.client(), store.run(kind="study")
        client.update_run(run.info.run_id, status="RUNNING")
        client.delete_tag(run.info.run_id, "seqsweep.state")
    with store.recorder(replace(study, begun=0)) as recorder:
        recorder.study(tags={"told": "at last"})
        recorder.finish("complete")
    run = store.run(kind="study")
    assert (run.info.status, run.data.tags["told"]) == ("FINISHED", "at last")


def test_what_a_store_refused_is_told_the_next_time(store: Any, study: StudyRecord) -> None:
    record(store, study, 0, begun=0)
    file = store.folder / "mlflow.db"
    older = file.read_bytes()
    recorder = store.recorder(replace(study, begun=1))
    for trial in (1, 2):
        recorder.follow(train(study.folder / str(trial), None), str(trial), trial=trial)
    assert recorder.drain(60)
    train(study.folder / "1")
    assert recorder.drain(60)  # and let go
    file.write_bytes(older)
    train(study.folder / "2", epochs=5)
    recorder.follow(train(study.folder / "3"), "3", trial=3)
    with pytest.raises(RecordError, match="not recorded"):
        recorder.close()
    record(store, study, 0, 1, 2, 3, begun=4)
    assert trials(store) == ["0", "1", "2", "3"]


def test_a_study_s_own_run_deleted_meanwhile_is_told(store: Any, study: StudyRecord) -> None:
    recorder = store.recorder(replace(study, begun=0))
    recorder.follow(train(study.folder / "0"), "0", trial=0)
    assert recorder.drain(60)
    store.client().delete_run(store.run(kind="study").info.run_id)
    recorder.study(tags={"more": "words"})
    with pytest.raises(RecordError, match="not recorded"):
        recorder.close()
    record(store, study, 0, 1, begun=1)
    assert trials(store) == ["0", "1"]
    assert store.run(kind="study").data.tags["more"] == "words"


def test_a_folder_left_by_an_earlier_study_is_recorded_anew(store: Any, study: StudyRecord) -> None:
    record(store, study, 0, begun=0)
    another = replace(study, uid="another uid", begun=0)
    with store.recorder(another) as recorder:
        recorder.follow(study.folder / "0", "0", trial=0)
        assert recorder.drain(60)
        recorder.follow(train(study.folder / "0", epochs=5), "0", trial=0)
    steps = {
        run.data.tags["seqsweep.study_uid"]: len(store.history(run.info.run_id, "val/accuracy"))
        for run in store.runs(kind="trial")
    }
    assert steps == {study.uid: 3, "another uid": 5}


def test_back_in_its_first_store_a_study_is_whole(store: Any, study: StudyRecord, empty_store: Path) -> None:
    record(store, study, 0, begun=0)
    first = (store.folder / "mlflow.db").read_bytes()
    (store.folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    record(store, study, 0, 1, begun=1)
    (store.folder / "mlflow.db").write_bytes(first)
    record(store, study, 0, 1, 2, begun=2)
    assert trials(store) == ["0", "1", "2"]
    assert len(store.runs(kind="study")) == 1


def test_what_mlflow_would_refuse_is_cut_and_batched(store: Any, study: StudyRecord) -> None:
    folder = study.folder / "0"
    with Spool(folder) as spool:
        spool.log_params({f"p{number}": "x" * 7000 for number in range(130)})
        spool.log_params({"p0": "changed", "a//b/../c?": 1})
        spool.set_tags({f"t{number}": "y" * 9000 for number in range(130)})
        for step in range(2500):
            spool.log_metrics({"m@1": step, "k" * 300: step}, step)
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", params={"p1": "given first"}, trial=0)
    run = store.run(kind="trial")
    assert len(run.data.params) == 131
    assert run.data.params["p1"] == "given first"
    assert run.data.params["p0"].startswith("xxx")
    assert run.data.params["p0"].endswith("… (cut)")
    assert len(run.data.params["p0"]) == 6000
    assert run.data.params["a/b/c_"] == "1"
    assert len(run.data.tags["t129"]) == 8000
    assert [step for step, _ in store.history(run.info.run_id, "m_1")] == list(range(2500))
    assert len(store.history(run.info.run_id, clean_key("k" * 300))) == 2500


def test_keys_that_are_cut_stay_different() -> None:
    assert clean_key("k" * 300 + "a") != clean_key("k" * 300 + "b")
    assert len(clean_key("k" * 300)) == 250


def test_an_artifact_that_is_gone_stops_nothing(
    store: Any, study: StudyRecord, caplog: pytest.LogCaptureFixture
) -> None:
    folder = train(study.folder / "0")
    (folder / "config.yaml").unlink()
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
    assert store.run(kind="trial").info.status == "FINISHED"
    assert "config.yaml is gone" in caplog.text


@pytest.mark.parametrize("begun", [None, 0])
def test_an_answer_that_was_lost_makes_no_second_run(
    store: Any, study: StudyRecord, monkeypatch: pytest.MonkeyPatch, begun: int | None
) -> None:
    from mlflow.exceptions import MlflowException

    create = MlflowStore.create
    lost: list[str] = []

    def create_and_lose(self: MlflowStore, name: str, tags: Any, start_ms: int) -> str:
        run_id = create(self, name, tags, start_ms)
        if name not in lost:
            lost.append(name)
            raise MlflowException("connection reset")
        return run_id

    monkeypatch.setattr(MlflowStore, "create", create_and_lose)
    with store.recorder(replace(study, begun=begun)) as recorder:
        recorder.follow(train(study.folder / "0"), "0", trial=0)
        recorder.follow(train(store.folder / "other"), "other")
    assert sorted(lost) == ["0", "digits", "other"]
    assert len(store.runs()) == 3
    assert {run.info.status for run in store.runs(state="complete")} == {"FINISHED"}


def test_a_run_deleted_meanwhile_is_told_and_stops_no_other(store: Any, study: StudyRecord) -> None:
    recorder = store.recorder(study)
    recorder.follow(train(study.folder / "0", None), "0", trial=0)
    recorder.drain(60)
    store.client().delete_run(recorder.run_id(study.folder / "0"))
    train(study.folder / "0", "complete", epochs=5)
    recorder.follow(train(study.folder / "1"), "1", trial=1)
    with pytest.raises(RecordError, match=r"not recorded in sqlite.*digits/0"):
        recorder.close()
    recorder.close()
    assert store.run(trial="1").info.status == "FINISHED"


def test_a_folder_deleted_meanwhile_stops_no_other(store: Any, study: StudyRecord) -> None:
    import shutil

    recorder = store.recorder(study)
    recorder.follow(train(study.folder / "0", None), "0", trial=0)
    recorder.drain(60)
    train(study.folder / "0", "complete", epochs=9)
    shutil.rmtree(study.folder / "0")
    recorder.follow(train(study.folder / "1"), "1", trial=1)
    recorder.close()
    assert store.run(trial="1").info.status == "FINISHED"


def test_a_deleted_experiment_says_how_to_bring_it_back(store: Any, study: StudyRecord) -> None:
    client = store.client()
    client.delete_experiment(client.create_experiment("tests"))
    recorder = store.recorder(study, patience=0.0)
    with pytest.raises(RecordError, match=r"mlflow experiments restore --experiment-id 1"):
        recorder.close()


def test_a_store_that_is_away_keeps_everything_for_the_next_recorder(store: Any, study: StudyRecord) -> None:
    folder = train(study.folder / "0")
    recorder = Recorder("http://127.0.0.1:9", "tests", store.artifacts, study, interval=0.05, patience=0.0)
    recorder.follow(folder, "0", trial=0)
    recorder.study({"best/val/accuracy": 0.7})
    assert not recorder.drain(0.2)
    with pytest.raises(
        RecordError, match=r"http://127.0.0.1:9 cannot be written to.*9 records of 2 runs wait"
    ):
        recorder.close()
    assert Place.load(folder).waiting(folder) == 7
    with store.recorder(study) as recorder:
        recorder.follow(folder, "0", trial=0)
    assert store.run(kind="trial").info.status == "FINISHED"
    assert store.run(kind="study").data.metrics == {"best/val/accuracy": 0.7}


def test_a_mistake_of_ours_is_raised_by_close(
    store: Any, study: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MlflowStore, tags: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MlflowStore, "find", broken)
    recorder = store.recorder(study)
    assert not recorder.drain(60)
    with pytest.raises(ZeroDivisionError):
        recorder.close()


def test_a_recorder_without_a_study_has_no_parent(store: Any) -> None:
    with store.recorder() as recorder, pytest.raises(ValueError, match="no study"):
        recorder.finish("complete")


def test_starting_waits_for_nothing_and_says_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from seqsweep.tracking import Recorder;"
        "began = time.perf_counter(); recorder = Recorder(sys.argv[1], 'x', Path(sys.argv[2]), None);"
        "seconds = time.perf_counter() - began; recorder.drain(); recorder.close();"
        "assert 'torch' not in sys.modules; assert seconds < 0.5, seconds"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/new/mlflow.db", str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), time.perf_counter() - began


def test_the_data_of_a_run_is_an_input_and_comes_once(store: Any, study: StudyRecord) -> None:
    parts = [
        Dataset("digits", f"digest-{part}", part, "local", {"uri": "/data"}, {"examples": 3}, {"s": 1})
        for part in ("train", "test")
    ]
    folder = study.folder / "0"
    for _ in range(2):  # an attempt that is gone on with says it again
        with Spool(folder) as spool:
            spool.log_data(parts)
            spool.end("complete")
        with store.recorder(study) as recorder:
            recorder.follow(folder, "0", trial=0)
    inputs = store.run(kind="trial").inputs.dataset_inputs
    found = {each.tags[0].value: each.dataset for each in inputs}
    assert sorted(found) == ["test", "train"]
    assert len(inputs) == 2
    data = found["train"]
    assert (data.name, data.digest, data.source_type) == ("digits", "digest-train", "local")
    assert [json.loads(text) for text in (data.source, data.profile, data.schema)] == [
        {"uri": "/data"},
        {"examples": 3},
        {"s": 1},
    ]


def test_a_studys_files_are_kept_when_something_new_comes(store: Any, study: StudyRecord) -> None:
    file = study.folder / ".seqsweep" / "study.yaml"
    file.parent.mkdir(parents=True)
    study = replace(study, files=(file,))

    def work(text: str, step: int) -> str:
        file.write_text(text)
        with store.recorder(study) as recorder:
            recorder.study({"trials/complete": step}, step=step)
            recorder.finish("complete")
        run = store.run(kind="study")
        (artifact,) = (store.artifacts / "tests" / run.info.run_id / "artifacts").iterdir()
        return str(artifact.read_text())

    assert work("first", 1) == "first"
    assert work("second", 2) == "second"
    assert work("third", 2) == "second", "nothing came to the study"
