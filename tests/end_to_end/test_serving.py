"""What is served over HTTP is what `seqsweep predict` says; a study's best is found by its alias."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from end_to_end.test_own_files import KINDS
from seqsweep.cli import main

pytestmark = pytest.mark.real

STUDY = """\
defaults:
  - train
  - override data: text_classification
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
data: {{train: {train}}}
model: {{hidden_size: 8}}
trainer: {{max_epochs: 20}}
hydra:
  launcher: {{workers: 2}}
  sweeper:
    metric: val/loss
    n_trials: {n_trials}
    sampler: {{_target_: optuna.samplers.RandomSampler, seed: 0}}
    enqueue: {enqueue}
    params: {{optimizer.lr: 'tag(log, interval(1e-6, 1e-1))'}}
"""


@contextmanager
def served(model: str, uri: str) -> Iterator[Callable[[object], tuple[int, Any]]]:
    """`mlflow models serve`, and how to ask it: status and answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(sys.executable).parent
    environment = {
        **os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "MLFLOW_TRACKING_URI": uri,
    }  # fmt: skip
    command = [here / "mlflow", "models", "serve", "--env-manager", "local", "-m", model, "-p", str(port)]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def ask(body: object) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    try:
        wait(f"http://127.0.0.1:{port}/ping", process)
        yield ask
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def wait(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 150
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)  # it has no other way to say that it is there
    raise AssertionError(f"nothing answers at {address}")


def text_classification(asked: Path) -> dict[str, Any]:
    return {"columns": ["text"], "data": [[line] for line in asked.read_text().splitlines()[1:]]}


def csv_forecasting(asked: Path) -> dict[str, Any]:
    columns, *rows = csv.reader(io.StringIO(asked.read_text()))
    return {"columns": columns, "data": [[row[0], *map(float, row[1:])] for row in rows]}


def translation(asked: Path) -> dict[str, Any]:
    return {"columns": ["source"], "data": [[line] for line in asked.read_text().splitlines()]}


def same_texts(answer: list[dict[str, Any]], said: str) -> bool:
    rows = list(csv.reader(io.StringIO(said)))[1:]
    return [(row[1], float(row[2])) for row in rows] == [
        (one["label"], round(one[f"probability_{one['label']}"], 6)) for one in answer
    ]


def same_numbers(answer: list[dict[str, Any]], said: str) -> bool:
    return list(csv.reader(io.StringIO(said)))[1:] == [
        [one["date"], *(f"{value:.7g}" for name, value in one.items() if name != "date")] for one in answer
    ]


def same_lines(answer: list[dict[str, Any]], said: str) -> bool:
    return said.splitlines() == [one["target"] for one in answer]


Same = Callable[[list[dict[str, Any]], str], bool]
SERVED: list[tuple[Callable[[Path], dict[str, Any]], Same]] = [
    (text_classification, same_texts),
    (csv_forecasting, same_numbers),
    (translation, same_lines),
]


@pytest.mark.parametrize(("request_of", "same"), SERVED, ids=[case[0].__name__ for case in SERVED])
def test_over_http_as_predict_says(
    isolated_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request_of: Callable[[Path], dict[str, Any]],
    same: Same,
) -> None:
    monkeypatch.chdir(isolated_home)
    kind = request_of.__name__
    own = KINDS[kind](isolated_home)
    train = ["train", f"data={kind}", *own.train, f"model={own.model}", "model.hidden_size=8"]
    assert main([*train, "trainer.max_epochs=2"]) == 0
    [model] = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("model:")]
    assert main(["predict", model.split("/")[1], str(own.asked)]) == 0
    said = capsys.readouterr().out
    with served(model, f"sqlite:///{isolated_home / 'mlflow.db'}") as ask:
        status, answer = ask({"dataframe_split": request_of(own.asked)})
        assert status == 200, answer
        assert same(answer["predictions"], said), (answer, said)
        status, answer = ask({"dataframe_split": {"columns": ["nothing"], "data": [["x"]]}})
        assert (status, "Model is missing inputs" in answer["message"]) == (400, True)


def test_a_studys_best_by_its_alias(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow
    import pandas as pd

    monkeypatch.chdir(isolated_home)
    uri = f"sqlite:///{isolated_home / 'mlflow.db'}"
    own = KINDS["text_classification"](isolated_home)
    train = own.train[0].partition("=")[2]

    def sweep(n_trials: int) -> str:
        # the second command's better trial comes as one to try first
        text = STUDY.format(
            train=train, n_trials=n_trials, enqueue="[{optimizer.lr: 1.0e-6}, {optimizer.lr: 0.05}]"
        )
        (isolated_home / "own.yaml").write_text(text)
        assert main(["sweep", "own", "--config-dir", str(isolated_home), "tracking.register=own"]) == 0
        return capsys.readouterr().out

    assert "model of trial 0: models:/own@best (version 1)" in sweep(1)
    assert "model of" not in sweep(1)  # there is nothing left to do
    assert "model of trial 1: models:/own@best (version 2)" in sweep(2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    best = mlflow.pyfunc.load_model("models:/own@best")
    client = mlflow.MlflowClient(uri, uri)
    assert {str(one.version) for one in client.search_model_versions("name = 'own'")} == {"1", "2"}
    [trial] = client.search_runs(
        [one.experiment_id for one in client.search_experiments()], "tags.`seqsweep.trial` = '1'"
    )
    assert best.metadata.run_id == trial.info.run_id
    answer = best.predict(pd.DataFrame({"text": ["an awful day", "a lovely day"]}))
    assert main(["predict", "own/best", str(own.asked)]) == 0
    assert same_texts(answer.to_dict("records"), capsys.readouterr().out)
    runs = client.search_runs([trial.info.experiment_id], "tags.`seqsweep.kind` = 'trial'")
    assert len(runs) == 2
