"""A study is what it began as: a change is shown and refused, or made a study of its own."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from seqsweep.cli import main

STUDY = ("sweep", "digits", "model=gru", "model.hidden_size=4", "data.batch_size=choice(128,256)")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def studies(here: Path) -> dict[str, int]:
    storage = f"sqlite:///{here / 'optuna.db'}"
    return {summary.study_name: summary.n_trials for summary in optuna.get_all_study_summaries(storage)}


def test_a_changed_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ("hydra.sweeper.n_trials=1", "trainer.max_epochs=1")
    assert main([*STUDY, *one]) == 0

    capsys.readouterr()
    changed = ("hydra.sweeper.n_trials=1", "trainer.max_epochs=2", "optimizer.lr=interval(0.001,0.1)")
    assert main([*STUDY, *changed]) == 2
    said = capsys.readouterr().err
    assert "study 'digits' has changed since it began" in said
    assert "trainer.max_epochs: 1 -> 2" in said
    assert "searched.optimizer.lr" in said
    assert "hydra.sweeper.on_change=fresh" in said
    assert studies(here) == {"digits": 1}

    for _ in range(2):  # the second time it is digits-2 that goes on
        assert main([*STUDY, *changed, "hydra.sweeper.on_change=fresh"]) == 0
        assert studies(here) == {"digits": 1, "digits-2": 1}

    # the budget and the launcher may change
    more = ("hydra.sweeper.n_trials=2", "trainer.max_epochs=1", "hydra.launcher.workers=1")
    assert main([*STUDY, *more, "hydra.sweeper.patience=9"]) == 0
    assert studies(here) == {"digits": 2, "digits-2": 1}
