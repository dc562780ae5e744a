"""What the parent Run of a real study says, and that its words can be used."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from end_to_end.driving import run
from seqsweep.cli import main
from seqsweep.tracking.mlflow_store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

STUDY = """\
defaults:
  - train
  - override data: digits
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
trainer: {max_epochs: 1}
hydra:
  launcher: {workers: 2}
  sweeper:
    metric: val/accuracy
    direction: maximize
    n_trials: 4
    sampler: {_target_: optuna.samplers.RandomSampler, seed: 1}
    enqueue: [{model: lstm, model.hidden_size: 16, optimizer.lr: 0.002, model.forget_bias: 1.0}]
    params:
      model: choice(gru, lstm)
      model.hidden_size: choice(16)
      optimizer.lr: tag(log, interval(1e-3, 1e-2))
      data.batch_size: 64
    conditional:
      - when: {model: lstm}
        params: {model.forget_bias: "choice(0.0, 1.0)"}
"""
SMALL = ("sweep", "small", "--config-dir", ".")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQSWEEP_HOME")
    here = tmp_path / "work"
    here.mkdir()
    (here / "small.yaml").write_text(STUDY)
    monkeypatch.chdir(here)
    return here


def stored(uri: str) -> tuple[MlflowClient, Run, dict[int, Run], list[str]]:
    """The parent Run, the trials', and the columns of the study's table."""
    client = connect(uri)
    experiment = client.get_experiment_by_name("seqsweep")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if run.data.tags["seqsweep.kind"] == "study")
    trials = {int(run.data.tags["seqsweep.trial"]): run for run in runs if run is not parent}
    uid = parent.data.tags["seqsweep.study_uid"]
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.seqsweep-{uid}"])
    return client, parent, trials, view["selectedColumns"]


def test_the_parent_says_what_was_searched_and_what_was_found(folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    uri = f"sqlite:///{elsewhere / 'mlflow.db'}"
    done = run(folder, *SMALL, f"tracking.uri={uri}")
    assert done.returncode == 0, done.stderr
    client, parent, trials, columns = stored(uri)

    tags, metrics = parent.data.tags, parent.data.metrics
    best = int(tags["seqsweep.best_trial"])
    assert {key: value for key, value in metrics.items() if key.startswith("trials/")} == {
        "trials/complete": 4
    }
    assert metrics["best/val/accuracy"] == trials[best].data.metrics["best/val/accuracy"]
    assert metrics["test/accuracy"] == trials[best].data.metrics["test/accuracy"]
    assert sum(value for key, value in metrics.items() if key.startswith("importance/")) == pytest.approx(1)
    assert [metric.step for metric in client.get_metric_history(parent.info.run_id, "trials/complete")] == [
        1,
        2,
        3,
        4,
    ]
    assert columns == [
        "metrics.`best/val/accuracy`",
        "params.`model`",
        "params.`optimizer.lr`",
        "params.`model.forget_bias`",
        "tags.`seqsweep.state`",
    ]
    assert parent.data.params == {
        "model": "gru, lstm",
        "model.hidden_size": "16",
        "optimizer.lr": "0.001 to 0.01, logarithmic",
        "model.forget_bias": "0, 1",
    }
    assert tags["seqsweep.command"] == shlex.join(["seqsweep", *SMALL, f"tracking.uri={uri}"])
    assert tags["seqsweep.working_directory"] == str(folder)
    note = tags["mlflow.note.content"]
    assert note.startswith("4 of 4 trials.")
    assert f"| {best} | " in note

    kept = Path(client.download_artifacts(parent.info.run_id, "study.yaml", str(elsewhere))).read_text()
    assert kept.splitlines()[0] == f"# {tags['seqsweep.command']}"
    study = yaml.safe_load(kept)
    assert study["hydra"]["sweeper"]["params"]["optimizer.lr"] == "tag(log, interval(1e-3, 1e-2))"
    assert (study["trainer"]["max_epochs"], study["hydra"]["launcher"]["workers"]) == (1, 2)

    # the line that the study ended with, and other commands, find the store elsewhere
    (look,) = (line for line in done.stdout.splitlines() if line.startswith("look:"))
    assert shlex.split(look)[1:] == ["seqsweep", "ui", "small", "--tracking-uri", uri]
    assert main(["evaluate", "small/best", "--tracking-uri", uri]) == 0

    # a trial is trained again with the command that its Run holds
    again = trials[best].data.tags["seqsweep.train_again"]
    assert run(folder, *shlex.split(again)[1:]).returncode == 0
    (repeated,) = client.search_runs(["1"], "tags.`seqsweep.kind` = 'run'")
    assert repeated.data.metrics["val/loss"] == trials[best].data.metrics["val/loss"]
    assert repeated.data.tags["seqsweep.train_again"] == again


def test_an_extended_study_says_what_it_searches_now(folder: Path) -> None:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert run(folder, *SMALL).returncode == 0
    _, before, _, _ = stored(uri)
    wider = ("optimizer.lr=tag(log,interval(1e-4,1e-2))", "model.hidden_size=choice(16,24)")
    done = run(folder, *SMALL, *wider, "hydra.sweeper.on_change=extend", "hydra.sweeper.n_trials=5")
    assert done.returncode == 0, done.stderr
    client, parent, trials, columns = stored(uri)
    assert len(trials) == 5
    assert parent.data.params == before.data.params  # they cannot be changed
    assert "optimizer.lr: 0.0001 to 0.01, logarithmic" in parent.data.tags["seqsweep.searched"]
    assert parent.data.tags["seqsweep.study_digest"] != before.data.tags["seqsweep.study_digest"]
    assert "params.`model.hidden_size`" in columns
    kept = Path(client.download_artifacts(parent.info.run_id, "study.yaml", str(folder))).read_text()
    assert "interval(1e-4,1e-2)" in kept
