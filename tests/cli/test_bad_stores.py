"""A tracking store that cannot be used is one clear line and exit status 2, and is left as it was."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqsweep import paths
from seqsweep.cli import main
from seqsweep.tracking import Recorder, Spool, StudyRecord

READING = [["ui", "digits"], ["evaluate", "digits/best"], ["predict", "digits/0", __file__]]
WRITING = [["train", "data=digits"], ["sweep", "digits"]]
named = pytest.mark.parametrize("command", [*READING, *WRITING], ids=lambda command: command[0])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the record of a study of one trial."""
    home = tmp_path_factory.mktemp("recorded")
    folder = home / "multirun" / "digits"
    study = StudyRecord("digits", "uid", directory=folder, metric="best/val/loss")
    with Recorder(f"sqlite:///{home / 'mlflow.db'}", "seqsweep", home / "mlartifacts", study) as recorder:
        with Spool(folder / "0") as spool:
            spool.log_metrics({"best/val/loss": 1.0}, 1)
            spool.end("complete")
        recorder.follow(folder / "0", "digits/0", trial=0)
        recorder.study(tags={"seqsweep.best_trial": "0"})
        recorder.finish("complete")
    return home


@pytest.fixture
def home(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for one test."""
    shutil.copy(recorded / "mlflow.db", tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as store:
        store.execute(statement)
        store.commit()


def refused(capsys: pytest.CaptureFixture[str], home: Path, *command: str) -> str:
    """The one line of a command that leaves all there is as it was."""
    before = content(home)
    status = main(command)
    captured = capsys.readouterr()
    assert status == 2, captured.err
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert content(home) == before
    return captured.err


def content(home: Path) -> dict[Path, bytes]:
    files = (path for path in home.rglob("*") if path.is_file() and "cache" not in path.parts)
    return {path: path.read_bytes() for path in files}


@named
def test_a_store_of_an_older_schema(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    change(home, "UPDATE alembic_version SET version_num = '451aebb31d03'")
    message = refused(capsys, home, *command)
    assert f"`mlflow db upgrade sqlite:///{home / 'mlflow.db'}`" in message
    assert "older MLflow's" in message


@named
def test_a_store_of_a_newer_schema(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    change(home, "UPDATE alembic_version SET version_num = '0123456789ab'")
    assert "does not know that one; install the MLflow" in refused(capsys, home, *command)


@named
def test_a_damaged_store(home: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with (home / "mlflow.db").open("r+b") as store:
        store.seek(100)
        store.write(b"\xff" * 40_000)
    assert "mlflow.db: damaged" in refused(capsys, home, *command)


@named
def test_a_database_of_another_program(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (home / "mlflow.db").unlink()
    change(home, "CREATE TABLE alembic_version (version_num TEXT)")
    assert "not a tracking store of MLflow's" in refused(capsys, home, *command)


@pytest.mark.parametrize("command", [*READING[:2], *WRITING], ids=lambda command: command[0])
def test_an_experiment_deleted_in_the_ui(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    change(home, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'seqsweep'")
    change(home, "UPDATE runs SET lifecycle_stage = 'deleted'")
    (home / "mlflow.db.lock").touch()
    message = refused(capsys, home, *command)
    assert "experiment 'seqsweep' was deleted from" in message
    assert "mlflow experiments restore --experiment-id 1" in message


def test_studies_are_listed_though_their_experiment_was_deleted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(home, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'seqsweep'")
    assert main(["list"]) == 0  # they are Optuna's
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", WRITING, ids=lambda command: command[0])
def test_a_leftover_file_store(home: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    (home / "mlruns" / "0").mkdir(parents=True)
    (home / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    assert f"{home / 'mlruns'} holds experiments of MLflow's old file store" in refused(
        capsys, home, *command
    )


@pytest.mark.parametrize(
    "command", [["ui", "--tracking-uri", "./mlruns"], ["train", "tracking.uri=./mlruns"]]
)
def test_the_address_of_a_file_store(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert "tracking store ./mlruns: expected sqlite:///FILE" in refused(capsys, home, *command)


class Answer(BaseHTTPRequestHandler):
    """A server's answer to whatever it is asked."""

    status, text = 200, "<html>something else</html>"

    def do_GET(self) -> None:
        token = self.headers.get("Authorization")
        status = 200 if self.path == "/health" or token == "Bearer right" else self.status
        self.send_response(status)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def server(status: int, text: str) -> Iterator[str]:
    handler = type("Handler", (Answer,), {"status": status, "text": text})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{served.server_port}"
        finally:
            served.shutdown()
            thread.join()


@named
def test_a_wrong_token(
    isolated_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    with server(401, "You are not authenticated.") as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
        message = refused(capsys, isolated_home, *command)
    assert f"tracking server {uri} refuses" in message
    assert "MLFLOW_TRACKING_TOKEN" in message
    assert "wrong" not in message


@pytest.mark.parametrize(("status", "text"), [(200, "<html>"), (404, "<html>not here"), (500, "oh")])
def test_a_server_that_is_no_mlflow(
    isolated_home: Path, capsys: pytest.CaptureFixture[str], status: int, text: str
) -> None:
    with server(status, text) as uri:
        message = refused(capsys, isolated_home, "train", "data=digits", f"tracking.uri={uri}")
    assert f"{uri} does not answer as an MLflow server does" in message


def test_a_database_server_that_is_away(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = "postgresql+psycopg://someone:secret@127.0.0.1:9/mlflow"
    message = refused(capsys, isolated_home, "sweep", "digits", f"tracking.uri='{uri}'")
    assert "tracking store postgresql+psycopg://someone:***@127.0.0.1:9/mlflow: cannot be reached" in message


def test_another_store_by_option(
    home: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(home / "mlflow.db", elsewhere / "mlflow.db")
    uri = f"sqlite:///{elsewhere / 'mlflow.db'}"
    assert "no tracking store" in refused(capsys, home, "evaluate", "digits/0")
    assert "has no config.yaml" in refused(capsys, home, "evaluate", "digits/0", "--tracking-uri", uri)
    assert paths.tracking_uri() == f"sqlite:///{home / 'mlflow.db'}"
