"""``seqsweep.load_study`` and ``seqsweep.load_run``."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import optuna
import pandas as pd
import pytest

import seqsweep
import stored_study
from seqsweep import paths
from seqsweep.errors import SeqsweepError, StoreError, StudyError
from seqsweep.loaded_study import LoadedStudy
from seqsweep.sweeping import connect


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSWEEP_HOME", str(folder))
        stored_study.make("own")
    return folder


@pytest.fixture
def study(made: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedStudy:
    monkeypatch.setenv("SEQSWEEP_HOME", str(made))
    return seqsweep.load_study("own")


def test_a_study(study: LoadedStudy) -> None:
    assert (study.name, study.metric, study.direction) == ("own", "val/loss", "minimize")
    assert isinstance(study.optuna, optuna.Study)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert [trial.state for trial in study.trials] == ["complete", "complete", "failed", "complete"]
    assert study.trials[2].error == "ValueError: no"
    assert isinstance(study.best.end, datetime)
    assert study.best.end.tzinfo is not None


def test_the_best_one_and_its_run(study: LoadedStudy) -> None:
    best = study.best
    assert (best.number, best.value, best.params["model.hidden_size"]) == (1, 0.25, 16)
    assert best.run.metrics["best/val/loss"] == 0.25
    assert best.run.name == "own/1"
    assert best.run.id == seqsweep.load_run("own/best").id == seqsweep.load_run(best.run.id[:12]).id


def test_as_a_table(study: LoadedStudy) -> None:
    table = study.to_pandas()
    assert table.index.tolist() == [0, 1, 2, 3]
    assert table.index.name == "trial"
    assert [*table.columns] == [
        "state", "value", "model", "model.hidden_size", "optimizer.lr", "seconds", "start", "end", "run",
        "best/val/loss", "error",
    ]  # fmt: skip
    kinds = {name: str(kind) for name, kind in table.dtypes.items()}
    assert kinds["value"] == kinds["seconds"] == kinds["best/val/loss"] == kinds["optimizer.lr"] == "float64"
    assert kinds["model.hidden_size"] == "Int64"
    assert isinstance(table["end"].dtype, pd.DatetimeTZDtype)
    assert table["best/val/loss"].tolist()[:2] == [0.5, 0.25]
    assert math.isnan(table["value"][2])
    assert table["error"][2] == "ValueError: no"
    assert table["run"][1] == study.best.run.id
    assert table.sort_values("value").index[0] == study.best.number


def test_without_a_tracking_store(study: LoadedStudy, tmp_path: Path) -> None:
    alone = seqsweep.load_study("own", paths.study_storage(), tracking_uri=f"sqlite:///{tmp_path / 'no.db'}")
    table = alone.to_pandas()
    assert table["run"].isna().all()
    assert "best/val/loss" not in table
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(StoreError, match="no tracking store at"):
        _ = alone.best.run


def test_several_objectives_and_unfinished_trials(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    made = optuna.create_study(
        study_name="two", storage=connect(storage), directions=["minimize", "maximize"]
    )
    made.set_user_attr("seqsweep.metric", ["val/loss", "val/accuracy"])
    with pytest.raises(StudyError, match="no trial of study 'two' is complete yet"):
        _ = seqsweep.load_study("two", storage).best
    assert seqsweep.load_study("two", storage).to_pandas().empty
    made.add_trial(optuna.trial.create_trial(values=[0.5, 0.75], params={}, distributions={}))
    made.ask({"x": optuna.distributions.IntDistribution(1, 3)})
    made.ask()
    study = seqsweep.load_study("two", storage)
    assert study.directions == ("minimize", "maximize")
    table = study.to_pandas()
    assert table[["value/val/loss", "value/val/accuracy"]].iloc[0].tolist() == [0.5, 0.75]
    assert table["state"].tolist() == ["complete", "running", "running"]
    assert table["x"].isna().tolist() == [True, False, True]
    assert str(table["x"].dtype) == "Int64"


def test_a_study_that_is_not_ours(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    made = optuna.create_study(study_name="foreign", storage=connect(storage))
    made.add_trial(optuna.trial.create_trial(value=1.0, params={}, distributions={}))
    study = seqsweep.load_study("foreign", storage)
    assert (study.metric, study.best.value) == ("objective", 1.0)
    assert len(study.to_pandas()) == 1


def test_what_is_not_there(study: LoadedStudy, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study 'owm' in .*; did you mean 'own'\? studies there: own"):
        seqsweep.load_study("owm")
    with pytest.raises(StoreError, match=r"no store of studies at .*no\.db"):
        seqsweep.load_study("own", f"sqlite:///{tmp_path / 'no.db'}")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StudyError, match="the study has no trial 9"):
        seqsweep.load_run("own/9")


def test_a_run(study: LoadedStudy) -> None:
    run = seqsweep.load_run("own/3")
    assert (run.name, run.state, run.tags["seqsweep.trial"]) == ("own/3", "complete", "3")
    history = run.history("val/loss")
    assert (history.name, history.index.name, history.to_dict()) == ("val/loss", "step", {1: 0.75})
    assert run.to_pandas().to_dict("list") == {"best/val/loss": [0.75], "val/loss": [0.75]}
    with pytest.raises(StudyError, match=r"has no metric 'val/los'; did you mean 'val/loss'\?"):
        run.history("val/los")
    for ask in (lambda: run.model, lambda: run.config, lambda: run.predict(__file__)):
        with pytest.raises(StudyError, match=r"has no config\.yaml: it is complete"):
            ask()
    with pytest.raises(SeqsweepError, match=r"nowhere\.csv: there is no such file"):
        run.predict("nowhere.csv")


def test_a_failed_trial_has_nothing_to_show(study: LoadedStudy) -> None:
    assert seqsweep.load_run("own/2").to_pandas().empty
