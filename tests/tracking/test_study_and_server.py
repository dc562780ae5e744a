"""A whole study whose tracking server goes away: in the middle of it, and before its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.driving import STUDY, Driver, check_study, run
from seqsweep.tracking.mlflow_store import connect
from tracking.serving import TrackingServer, served_like_embedded

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

AWAY = "records wait in the trials' folders"
BACK = "tracking store: it takes records again"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as a user has one, with a study in it; trials 6 and 7 wait for a file each."""
    monkeypatch.delenv("SEQSWEEP_HOME")
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(tests))  # for the gate
    here = tmp_path / "work"
    (here / "studies").mkdir(parents=True)
    gates = ", ".join(
        f"{name}: {{_target_: tracking.serving.Gate, trial: {trial}, file: {here / name}}}"
        for name, trial in (("first", 6), ("second", 7))
    )
    trainer = f"trainer: {{max_epochs: 6, callbacks: {{{gates}}}}}"
    (here / "studies" / "small.yaml").write_text(STUDY.replace("trainer: {max_epochs: 6}", trainer))
    return here


@pytest.fixture
def server(folder: Path) -> Iterator[TrackingServer]:
    server = TrackingServer(folder)
    server.start()
    yield server
    server.stop()


def small(server: TrackingServer) -> tuple[str, ...]:
    return ("sweep", "small", "--config-dir", "studies", f"tracking.uri={server.uri}")


def check_whole(folder: Path, server: TrackingServer) -> None:
    """All that a study leaves in an embedded store is in the server's, once."""
    server.stop()
    served_like_embedded(server, folder, connect(f"sqlite:///{folder / 'mlflow.db'}"))
    check_study(folder, "small", n_trials=8, epochs=6)


def test_a_server_that_is_away_for_a_while_loses_and_doubles_nothing(
    folder: Path, server: TrackingServer
) -> None:
    driver = Driver.start(folder, *small(server))
    driver.until(" complete ", times=2)
    server.stop()
    driver.until(AWAY)
    (folder / "first").touch()
    driver.until(" complete ")
    server.start()
    (folder / "second").touch()
    rest = driver.finish()
    assert driver.process.returncode == 0, rest
    assert BACK in rest
    assert "View run" not in rest  # what MLflow's client says of its own accord
    assert f"stores: {server.uri} (MLflow)" in rest
    check_whole(folder, server)


def test_a_study_that_ends_while_its_server_is_away_is_handed_over_by_the_same_command(
    folder: Path, server: TrackingServer
) -> None:
    for gate in ("first", "second"):
        (folder / gate).touch()
    driver = Driver.start(folder, *small(server))
    driver.until(" complete ", times=2)
    server.stop()
    rest = driver.finish()
    assert driver.process.returncode == 1, rest
    assert "best: trial" in rest  # the study itself is whole
    assert f"seqsweep: tracking store {server.uri} cannot be written to" in rest
    assert "Nothing is lost" in rest

    server.start()
    again = run(folder, *small(server))
    assert again.returncode == 0, again.stderr
    check_whole(folder, server)
