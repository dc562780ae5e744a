"""A user's own studies in ``sweeps/`` of the working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqsweep.cli import main

STUDY = """\
defaults: [train, override data: digits, override hydra/sweeper: seqsweep, override hydra/launcher: seqsweep, _self_]
hydra:
  sweeper:
    metric: val/accuracy
    direction: maximize
    params: {model.hidden_size: "choice(7, 9)"}
"""


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQSWEEP_HOME", str(tmp_path / "home"))
    folder = tmp_path / "sweeps"
    folder.mkdir()
    return folder


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["sweep", *arguments, "--dry-run"]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_it_is_found_by_its_name(sweeps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweeps / "mine.yaml").write_text(STUDY)
    assert "model.hidden_size=7" in dry_run(capsys, "mine")
    assert main(["sweep", "--help"]) == 0
    assert "digits, digits_gru, mine" in capsys.readouterr().out


def test_it_goes_before_the_shipped_one_of_that_name(
    sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweeps / "digits.yaml").write_text(STUDY)
    assert "model.hidden_size=7" in dry_run(capsys, "digits")


def test_the_folder_that_is_named_goes_before_it(
    sweeps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweeps / "mine.yaml").write_text(STUDY)
    named = tmp_path / "named"
    named.mkdir()
    (named / "mine.yaml").write_text(STUDY.replace("7, 9", "11, 13"))
    assert "model.hidden_size=11" in dry_run(capsys, "mine", "--config-dir", str(named))


def test_a_training_configuration_there_does_not_replace_ours(
    sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweeps / "train.yaml").write_text("nothing: of ours\n")
    (sweeps / "mine.yaml").write_text(STUDY)
    assert "model.hidden_size=7" in dry_run(capsys, "mine")


def test_a_name_that_is_not_there_is_answered_with_those_that_are(
    sweeps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweeps / "mine.yaml").write_text(STUDY)
    assert main(["sweep", "mime"]) == 2
    assert "expected one of digits, digits_gru, mine; did you mean 'mine'?" in capsys.readouterr().err
