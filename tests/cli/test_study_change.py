"""A study is what it began as: a change is shown and refused, or made a study of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from seqsweep.cli import main

STUDY = ("sweep", "digits", "model=gru", "model.hidden_size=4", "data.batch_size=choice(128,256)")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def studies(here: Path) -> dict[str, int]:
    storage = f"sqlite:///{here / 'optuna.db'}"
    return {summary.study_name: summary.n_trials for summary in optuna.get_all_study_summaries(storage)}


def stored(here: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="digits", storage=f"sqlite:///{here / 'optuna.db'}").trials


def configuration(here: Path, study: str, trial: int) -> dict[str, Any]:
    return yaml.safe_load((here / "multirun" / study / str(trial) / "config.yaml").read_text())


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

    # frozen: what the command says now is left aside, its budget apart
    capsys.readouterr()
    assert main([*STUDY, *changed, "hydra.sweeper.on_change=frozen", "hydra.sweeper.n_trials=3"]) == 0
    assert studies(here) == {"digits": 3, "digits-2": 1}
    assert configuration(here, "digits", 2)["trainer"]["max_epochs"] == 1


def test_an_extended_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ("trainer.max_epochs=1", "hydra.sweeper.n_trials=1")
    assert main([*STUDY, *one]) == 0
    began = stored(here)[0]
    wider = [*STUDY[:-1], "data.batch_size=choice(64,128,256)", "optimizer.lr=tag(log,interval(1e-5,1))"]

    capsys.readouterr()
    assert main([*wider, "hydra.sweeper.on_change=extend", "trainer.max_epochs=2"]) == 2
    said = capsys.readouterr().err
    assert "extend widens the ranges of what is searched and nothing else" in said
    assert "trainer.max_epochs: 1 -> 2" in said
    narrower = [*STUDY[:-1], "data.batch_size=choice(64)", *one, "hydra.sweeper.on_change=extend"]
    assert main(narrower) == 2
    assert "data.batch_size: CategoricalDistribution(choices=(128, 256)) ->" in capsys.readouterr().err
    assert stored(here) == [began]

    more = ("trainer.max_epochs=1", "hydra.sweeper.n_trials=3")
    assert main([*wider, *more, "hydra.sweeper.on_change=extend"]) == 0
    assert main([*wider, *more]) == 0  # what it was extended to is what it is now
    kept, *new = stored(here)
    assert (kept.number, kept.params, kept.values) == (began.number, began.params, began.values)
    assert len(new) == 2
    assert all(trial.distributions["data.batch_size"].choices == (64, 128, 256) for trial in (kept, *new))
