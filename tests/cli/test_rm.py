"""``seqsweep rm``: what is removed, what is not, and half of it."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

import stored_study
from seqsweep import paths
from seqsweep.cli import main, removing
from seqsweep.reporting import finding
from seqsweep.sweeping import connect
from seqsweep.tracking.mlflow_store import connect as connect_mlflow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the study ``own`` and the study ``other``, made once: a store takes seconds."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSWEEP_HOME", str(folder))
        stored_study.make("own")
        stored_study.make("other")
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    shutil.copytree(made, place)
    monkeypatch.setenv("SEQSWEEP_HOME", str(place))
    study = optuna.load_study(study_name="own", storage=connect(paths.study_storage()))
    study.set_user_attr("seqsweep.folder", str(paths.study_folder("own")))
    return place


def runs(study: str) -> int:
    client = connect_mlflow(paths.tracking_uri())
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return len(client.search_runs(experiments, f"tags.`seqsweep.study` = '{study}'"))


def studies() -> list[str]:
    return optuna.get_all_study_names(connect(paths.study_storage()))


def views(home: Path) -> list[str]:
    client = connect_mlflow(paths.tracking_uri())
    (experiment,) = [one for one in client.search_experiments() if one.name == "tests"]
    return [tag for tag in experiment.tags if tag.startswith("mlflow.sharedViewState")]


def gone(study: str = "own") -> bool:
    """Whether nothing of it is left; the other study is whole."""
    assert runs("other") == 5
    assert (paths.study_folder("other") / "0").is_dir()
    assert "other" in studies()
    left = [path.name for path in paths.study_folder(study).parent.iterdir()]
    return runs(study) == 0 and study not in studies() and left == ["other"]


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 2
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    return captured.err


def test_all_of_it_and_nothing_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(views(home)) == 2
    assert main(["rm", "own", "--yes"]) == 0
    printed = capsys.readouterr().out
    assert "4 trials in sqlite:" in printed
    assert "5 Runs in sqlite:" in printed
    assert "mlflow gc --backend-store-uri sqlite:" in printed
    assert gone()
    assert len(views(home)) == 1
    message = refused(capsys, "rm", "own", "--yes")
    assert "no study 'own' in" in message
    assert "studies there: other" in message


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "status"), [("Yes\n", 0), ("\n", 1), ("", 1)])
def test_it_asks(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["rm", "own"]) == status
    printed = capsys.readouterr().out
    assert "remove all of this? [y/N]" in printed
    if status:
        assert printed.endswith("nothing was removed\n")
        assert (runs("own"), len(studies()), paths.study_folder("own").is_dir()) == (5, 2, True)
    else:
        assert gone()


def test_nobody_to_ask(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "rm", "own")
    assert "nothing was removed: there is no terminal to ask at; --yes" in message
    assert (runs("own"), len(studies())) == (5, 2)


def test_other_names(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'own'?; studies there: other, own" in refused(capsys, "rm", "owm", "--yes")
    for name in ("..", "../home", ".", "", "' or 1=1 --"):
        assert f"no study '{name}' in" in refused(capsys, "rm", name, "--yes")
    assert (runs("own"), len(studies()), (home / "mlflow.db").exists()) == (5, 2, True)


def test_folders_that_are_no_study_s(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = paths.study_folder("2026-11-22")
    (grid / "10-00-00").mkdir(parents=True)
    refused(capsys, "rm", "2026-11-22", "--yes")
    assert (grid / "10-00-00").is_dir()
    elsewhere = home / "precious"
    (elsewhere / "own").mkdir(parents=True)
    study = optuna.load_study(study_name="own", storage=connect(paths.study_storage()))
    for folder in (elsewhere, elsewhere / "own"):  # neither is a study's: there is no state of ours in it
        study.set_user_attr("seqsweep.folder", str(folder))
        assert [*removing.find("own", paths.study_storage(), paths.tracking_uri()).folders] == [
            paths.study_folder("own")
        ]


def test_while_a_driver_runs_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = paths.study_folder("own") / paths.STATE / "driver.lock"
    with lock.open("w") as file:
        file.write(str(os.getpid()))
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        message = refused(capsys, "rm", "own", "--yes")
    assert f"study 'own' is being run by process {os.getpid()}: stop it first" in message
    assert (runs("own"), len(studies()), paths.study_folder("own").is_dir()) == (5, 2, True)


STEPS = ("_delete_runs", "_delete_study", "_delete_folder")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_half_way_the_same_command_finishes(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    whole: Any = getattr(removing, step)

    def killed(*given: Any) -> None:
        if done:
            whole(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(removing, step, killed)
        with pytest.raises(Killed):
            main(["rm", "own", "--yes"])
    if done and step == "_delete_folder":
        assert gone()
    else:
        assert main(["rm", "own", "--yes"]) == 0
        assert gone()


def test_killed_among_the_runs_and_among_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    whole, left = MlflowClient.delete_run, [3]

    def some(client: MlflowClient, run_id: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        whole(client, run_id)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "delete_run", some)
        with pytest.raises(Killed):
            main(["rm", "own", "--yes"])
    assert runs("own") == 2

    def none(place: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", none)
        with pytest.raises(Killed):
            main(["rm", "own", "--yes"])
    assert not paths.study_folder(
        "own"
    ).exists()  # out of the way at once: nothing takes half of it for a study
    assert main(["rm", "own", "--yes"]) == 0
    assert gone()


@pytest.mark.parametrize(
    "missing", ["folder", "optuna", "mlflow", "optuna and folder", "optuna.db", "folder and mlflow"]
)
def test_what_is_half_there(home: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    if "folder" in missing:
        shutil.rmtree(paths.study_folder("own"))
    if "mlflow" in missing:
        (home / "mlflow.db").unlink()
    if missing == "optuna.db":
        (home / "optuna.db").unlink()
    elif "optuna" in missing:
        optuna.delete_study(study_name="own", storage=connect(paths.study_storage()))
    assert main(["rm", "own", "--yes"]) == 0
    printed = capsys.readouterr().out
    assert ("  folder  none in" in printed) == ("folder" in missing)
    assert ("  MLflow  nothing in" in printed) == ("mlflow" in missing)
    assert ("  Optuna  nothing in" in printed) == ("optuna" in missing)
    assert not paths.study_folder("own").exists()
    assert (home / "mlflow.db").exists() == ("mlflow" not in missing)  # no store is made for it
    assert (home / "optuna.db").exists() == (missing != "optuna.db")
    if "mlflow" not in missing:
        assert runs("own") == 0


def test_another_study_of_that_name_is_left(home: Path) -> None:
    """Its Runs have another id; with what is known of the first one gone, the name must do."""
    optuna.delete_study(study_name="own", storage=connect(paths.study_storage()))
    stored_study.make("own", record=False)
    study = optuna.load_study(study_name="own", storage=connect(paths.study_storage()))
    study.set_user_attr("seqsweep.uid", "another")
    found = removing.find("own", paths.study_storage(), paths.tracking_uri())
    assert found.runs == ()
    assert len(found.studies) == 1


def test_a_copy_left_by_an_extension_goes_too(home: Path) -> None:
    optuna.create_study(study_name="own~", storage=connect(paths.study_storage()))
    assert main(["rm", "own", "--yes"]) == 0
    assert studies() == ["other"]


@pytest.mark.parametrize("whole", [True, False])
def test_in_a_copy_of_the_project_the_first_one_is_left(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    if not whole:
        shutil.rmtree(copy / "multirun" / "own")
    monkeypatch.setenv("SEQSWEEP_HOME", str(copy))
    assert main(["rm", "own", "--yes"]) == 0
    assert gone()
    assert (home / "multirun" / "own" / "0").is_dir()
    monkeypatch.setenv("SEQSWEEP_HOME", str(home))
    assert "own" in studies()


def test_a_linked_folder(home: Path) -> None:
    place = paths.study_folder("own")
    (home / "large").mkdir()
    target = place.rename(home / "large" / "disk")
    place.symlink_to(target)
    assert main(["rm", "own", "--yes"]) == 0
    assert gone()
    assert list((home / "large").iterdir()) == []


def test_nothing_is_made_where_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SEQSWEEP_HOME", str(tmp_path / "empty"))
    assert "no study 'own' in" in refused(capsys, "rm", "own", "--yes")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_server_that_is_away(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "tracking server http://127.0.0.1:9 does not answer" in refused(capsys, "rm", "own", "--yes")
    assert len(studies()) == 2


def test_a_study_that_is_kept_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = {name: f"sqlite:///{tmp_path / name}.db" for name in ("studies", "runs")}
    (home / "optuna.db").rename(tmp_path / "studies.db")
    (home / "mlflow.db").rename(tmp_path / "runs.db")
    finding.remember(paths.study_folder("own"), elsewhere["studies"])
    study = optuna.load_study(study_name="own", storage=elsewhere["studies"])
    study.set_user_attr("seqsweep.tracking", elsewhere["runs"])
    assert main(["rm", "own", "--yes"]) == 0
    assert optuna.get_all_study_names(elsewhere["studies"]) == ["other"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere["runs"])
    assert (runs("own"), runs("other")) == (0, 5)
