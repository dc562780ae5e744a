from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from seqsweep import paths
from seqsweep.cli import main


@pytest.fixture
def digits(isolated_home: Path) -> None:
    study = optuna.create_study(study_name="digits", storage=paths.study_storage(), direction="maximize")
    study.set_user_attr("seqsweep.metric", ["val/accuracy"])
    study.set_user_attr("seqsweep.n_trials", 2)
    for value in (0.91234567, 0.5):
        study.tell(study.ask(), value)


@pytest.mark.usefixtures("digits")
def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    head, _, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["study", "status", "trials", "best", "metric", "last", "activity"]
    assert line.split()[:5] == ["digits", "finished", "2/2", "0.9123", "val/accuracy"]


@pytest.mark.usefixtures("digits")
def test_json_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["best"] == 0.91234567
    assert (study["done"], study["n_trials"], study["status"]) == (2, 2, "finished")
    assert study["counts"] == {"complete": 2}


def test_nothing_here(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "no studies in" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["studies"] == []
    assert not list(isolated_home.glob("*.db"))


def test_a_broken_store_exits_2(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (isolated_home / "optuna.db").write_text("no database")
    assert main(["list"]) == 2
    assert capsys.readouterr().err.startswith("seqsweep: ")
