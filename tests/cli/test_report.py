"""``seqsweep report``: what it prints, writes and refuses; its page in a browser is in end_to_end."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import optuna
import pytest

from reporting.report_studies import HOSTILE_NAME, bowl, store
from seqsweep import paths
from seqsweep.cli import main, report
from seqsweep.reporting import finding
from seqsweep.tracking import Recorder, StudyRecord


@pytest.fixture
def study(isolated_home: Path) -> optuna.Study:
    return store(bowl(trials=10), isolated_home)


def test_the_terminal_and_a_page(
    study: optuna.Study, isolated_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "bowl"]) == 0
    said = capsys.readouterr().out
    page = isolated_home / "multirun" / "bowl" / "report.html"
    assert f"report: {page}" in said
    assert page.stat().st_size < 6e6
    for words in ("importance (PED-ANOVA)", "what failed and why", "what to try next", "val/accuracy"):
        assert words in said
    assert "1 failed: RuntimeError: too small (trial 3)" in said
    assert not (isolated_home / "mlflow.db").exists()


def test_json_and_nothing_else(study: optuna.Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "bowl", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["counts"]["failed"]) == ("bowl", 1)
    assert Path(said["page"]).is_file()


def test_a_name_that_could_be_no_folder(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(bowl(HOSTILE_NAME, trials=3), isolated_home)
    assert main(["report", HOSTILE_NAME]) == 0
    capsys.readouterr()
    (page,) = isolated_home.rglob("report.html")
    assert page.parent.parent == isolated_home / "multirun"


@pytest.mark.parametrize("name", ["../../out", "..", "/abs", "a/b"])
def test_a_name_that_leads_elsewhere(name: str, isolated_home: Path) -> None:
    optuna.create_study(study_name=name, storage=paths.study_storage())
    assert main(["report", name]) == 0
    (page,) = isolated_home.rglob("report.html")
    assert page.parent.parent == isolated_home / "multirun"


def test_an_unknown_study_names_the_known(study: optuna.Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "bowls"]) == 2
    error = capsys.readouterr().err
    assert "no study 'bowls'" in error
    assert "did you mean 'bowl'?" in error


def test_no_store_makes_none(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "bowl"]) == 2
    assert "no store of studies at" in capsys.readouterr().err
    assert not list(isolated_home.iterdir())


def test_a_broken_store(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (isolated_home / "optuna.db").write_text("no database")
    assert main(["report", "bowl"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_store_elsewhere(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = isolated_home / "elsewhere"
    elsewhere.mkdir()
    store(bowl(trials=3), elsewhere)
    url = f"sqlite:///{elsewhere / 'optuna.db'}"
    assert main(["report", "bowl", "--storage", url]) == 0
    folder = paths.study_folder("bowl")
    (folder / paths.STATE).mkdir()
    finding.remember(folder, url)  # as a sweep does
    assert main(["report", "bowl"]) == 0
    note = folder / paths.STATE / "storage"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    finding.remember(folder, paths.study_storage())
    assert not note.exists()


@pytest.mark.real
def test_the_page_is_kept_with_the_studys_run(
    study: optuna.Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.set_user_attr("seqsweep.uid", "this one")
    with Recorder(
        paths.tracking_uri(), "seqsweep", paths.artifacts(), StudyRecord("bowl", "this one")
    ) as recorder:
        recorder.finish("complete")
    assert main(["report", "bowl"]) == 0
    (kept,) = paths.artifacts().rglob("report.html")
    assert kept.read_bytes() == (paths.study_folder("bowl") / "report.html").read_bytes()
    assert capsys.readouterr().err == ""


def test_what_goes_wrong_at_the_end_is_said_and_no_more(
    study: optuna.Study, isolated_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (isolated_home / "file").write_text("")
    report.at_the_end(study, isolated_home / "file", paths.tracking_uri())
    (isolated_home / "mlflow.db").write_text("no database")
    study.set_user_attr("seqsweep.uid", "this one")
    report.at_the_end(study, isolated_home / "there", paths.tracking_uri())
    said = capsys.readouterr()
    assert "no report was written: StoreError" in said.err
    assert f"the report is not in {paths.tracking_uri()}" in said.err
    assert (isolated_home / "there" / "report.html").is_file()
