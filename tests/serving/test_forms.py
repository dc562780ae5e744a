"""What is served is what `seqsweep predict` says, for every kind of data; and what is wrong is said."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from end_to_end.test_own_files import KINDS, Own
from seqsweep import data as kinds
from seqsweep.data.scan_grammar import interpret
from seqsweep.serving.describing import describe
from seqsweep.serving.description import Array
from seqsweep.serving.kinds import FORMS, NoFormError, form_for
from seqsweep.serving.packing import pack
from seqsweep.serving.peace import at_peace
from seqsweep.serving.served import Served, load
from seqsweep.training import stored
from serving.untrained import leave


def texts(path: Path) -> list[str]:
    return path.read_text().splitlines()


def recordings(path: Path) -> pd.DataFrame:
    return pd.DataFrame({"wav": [file.read_bytes() for file in sorted(path.rglob("*.wav"))]})


REQUESTS: dict[str, Callable[[Path], Any]] = {
    "text_classification": pd.read_csv,
    "tagging": lambda path: pd.DataFrame(
        {"tokens": [sentence.split("\n") for sentence in path.read_text().strip().split("\n\n")]}
    ),
    "language_modelling": lambda path: pd.DataFrame({"prompt": texts(path)}),
    "translation": lambda path: pd.DataFrame({"source": texts(path)}),
    "csv_classification": pd.read_csv,
    "csv_regression": pd.read_csv,
    "csv_forecasting": lambda path: pd.read_csv(path, dtype={"week": float}),
    "audio_classification": recordings,
}
"""The files that `predict` is asked about, as tables."""


def written(kind: str, answer: pd.DataFrame, asked: Any) -> list[str]:
    """The words of an answer that a file of predictions has too."""
    if kind == "tagging":
        pairs = zip(chain(*asked["tokens"]), chain(*answer["tags"]), strict=True)
        return list(chain(*pairs))
    if kind == "language_modelling":
        return " ".join(asked["prompt"] + " " + answer["continuation"]).split()
    if kind == "translation":
        return " ".join(answer["target"]).split()
    raise AssertionError(kind)


@dataclass
class Runs:
    """A run on a tiny file of each kind, made when it is first wanted."""

    folder: Path
    made: dict[str, tuple[Own, Path]] = field(default_factory=dict)

    def __getitem__(self, kind: str) -> tuple[Own, Path]:
        if kind not in self.made:
            place = self.folder / kind
            place.mkdir()
            own = KINDS[kind](place)
            self.made[kind] = own, leave(place / "run", f"data={kind}", f"model={own.model}", *own.train)
        return self.made[kind]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("kind", REQUESTS)
def test_what_is_served_is_what_predict_says(kind: str, runs: Runs) -> None:
    own, run = runs[kind]
    asked = REQUESTS[kind](own.asked)
    served = load(run)
    answer = served.predict(asked)
    assert list(answer.columns) == list(served.form.outputs)
    module, records, predictions = stored.read(run, threads=1).predict(own.asked)
    file = io.StringIO()
    module.write(records, predictions, file)
    if kind in ("tagging", "language_modelling", "translation"):
        assert written(kind, answer, asked) == file.getvalue().split()
    else:
        check_table(answer, pd.read_csv(io.StringIO(file.getvalue())), kind)
    pd.testing.assert_frame_equal(served.predict(asked), answer)  # asked again, the same


def check_table(answer: pd.DataFrame, said: pd.DataFrame, kind: str) -> None:
    if kind == "text_classification":
        chosen = [row[f"probability_{row['label']}"] for _, row in answer.iterrows()]
        assert (answer["label"] == said["label"]).all()
        np.testing.assert_allclose(chosen, said["probability"], atol=1e-6)
        return
    for name in answer.columns.intersection(said.columns):
        if said[name].dtype.kind == "f":
            np.testing.assert_allclose(answer[name], said[name], rtol=1e-5, atol=1e-6)
        else:
            assert answer[name].astype(str).tolist() == said[name].astype(str).tolist()


def test_a_series_in_channels(runs: Runs) -> None:
    own, run = runs["ts_classification"]
    module, records, predictions = stored.read(run).predict(own.asked)
    served = load(run)
    assert served.form.inputs == Array((-1, -1, 2))
    for series, said in zip(records.items, predictions, strict=True):
        [row] = served.predict(series[None]).to_dict("records")
        assert row["class"] == module.fitted["classes"][said["class"]]
        assert row["probability_up"] == pytest.approx(said["probabilities"][1], abs=1e-6)


def test_a_piece_of_music(runs: Runs) -> None:
    own, run = runs["piano_roll"]
    _, records, predictions = stored.read(run).predict(own.asked)
    answer = load(run).predict(np.asarray(records.items[:1], dtype=float))
    np.testing.assert_allclose(answer, [predictions[0]], atol=1e-6)


def test_digits_as_the_test_part_has_them(tmp_path: Path) -> None:
    run = leave(tmp_path / "run", "data=digits", "model=gru")
    part = kinds.Digits().splits.test.between(0, 5)
    served = load(run)
    answer = served.predict(part.inputs.double().numpy())
    ready = stored.read(run).ready(stored.read(run).data())
    said = ready(part)
    assert [int(name) for name in answer["class"]] == [one["class"] for one in said]
    np.testing.assert_allclose(answer["probability_3"], [one["probabilities"][3] for one in said], atol=1e-6)


def test_commands_of_scan(tmp_path: Path) -> None:
    run = leave(tmp_path / "run", "data=scan_simple", "model=seq2seq", "data.split_source=drawn")
    served = load(run)
    part = kinds.Scan(split_source="drawn").splits.test.between(0, 3)
    commands = served.form.example(kinds.Scan(split_source="drawn"))
    assert all(interpret(tuple(text.split())) for text in commands["source"])
    batch = part.cut(torch.arange(3))
    asked = [" ".join(kinds.scan.COMMAND_WORDS.decode(row.tolist())) for row in batch.inputs]
    said = stored.read(run).ready(stored.read(run).data())(part)
    answer = served.predict(pd.DataFrame({"source": asked}))
    assert answer["target"].tolist() == [" ".join(kinds.scan.ACTION_WORDS.decode(row)) for row in said]


def test_engines(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        " ".join(map(str, [unit, cycle, *rng.normal(size=24).round(3)]))
        for unit in range(1, 13)
        for cycle in range(1, 9 + unit)
    ]
    for name in ("train_FD001.txt", "test_FD001.txt"):
        (tmp_path / name).write_text("\n".join(lines))
    small = "data.window=4"
    (tmp_path / "RUL_FD001.txt").write_text("\n".join(["5"] * 12))
    files = [f"data.{key}={tmp_path / name}_FD001.txt" for key, name in
             (("train", "train"), ("test", "test"), ("rul", "RUL"))]  # fmt: skip
    run = leave(tmp_path / "run", "data=cmapss_fd001", "model=gru", "data.dataset=null", small, *files)
    served = load(run)
    asked = pd.read_csv(tmp_path / "test_FD001.txt", sep=" ", header=None)
    asked.columns = pd.Index(served.form.inputs)
    answer = served.predict(asked.astype(float))
    _, _, predictions = stored.read(run).predict(tmp_path / "test_FD001.txt")
    assert answer["engine"].tolist() == list(range(1, 13))
    np.testing.assert_allclose(answer["remaining"], np.ravel(predictions), rtol=1e-6)


# ---------------------------------------------------------------- as MLflow has it


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_answered_and_the_signature_kept(kind: str, runs: Runs, tmp_path: Path) -> None:
    import mlflow
    from mlflow.models import Model
    from mlflow.pyfunc.scoring_server import invocations

    _, run = runs[kind]
    place = tmp_path / "model"
    with at_peace():
        pack(run, place, Model(), describe(run))
    assert sorted(path.name for path in (place / "data" / "run").iterdir()) == [
        "best.ckpt", "config.yaml", "data.json",
    ]  # fmt: skip
    assert not list(place.rglob("*.pkl"))
    assert "torch==" in (place / "requirements.txt").read_text()
    model = mlflow.pyfunc.load_model(str(place))
    example = (place / "serving_input_example.json").read_text()
    answer = invocations(example, "application/json", model, model.metadata.get_input_schema())
    assert answer.status == 200
    found = json.loads(answer.response)["predictions"]
    assert found
    if model.metadata.signature.outputs.has_input_names():
        assert list(found[0]) == model.metadata.signature.outputs.input_names()


def test_what_is_required_is_not_compared_with_what_is_installed_but_afterwards_it_is(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.models import Model
    from mlflow.utils import environment, requirements_utils

    compared: list[str] = []
    monkeypatch.setattr(requirements_utils, "_check_requirement_satisfied", compared.append)
    _, run = runs["csv_regression"]
    with at_peace():
        pack(run, tmp_path / "model", Model(), describe(run))
    assert compared == []
    environment.warn_dependency_requirement_mismatches(["torch"])
    assert compared == ["torch"]


# ---------------------------------------------------------------- what is wrong


@pytest.fixture(scope="module")
def servers(runs: Runs) -> Mapping[str, Served]:
    return {kind: load(runs[kind][1]) for kind in {case[0] for case in WRONG}}


def rows(**columns: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


WRONG: list[tuple[str, pd.DataFrame, dict[str, Any], str]] = [
    ("text_classification", rows(text=["a", None]), {}, "request, row 2: 'text' is missing, expected a text"),
    ("text_classification", rows(text=[]), {}, "request: holds no rows"),
    ("language_modelling", rows(prompt=["the", ""]), {}, "request, row 2: empty, expected the beginning"),
    ("language_modelling", rows(prompt=["the"]), {"top_p": 2.0}, "top_p=2.0: expected a number above 0"),
    ("language_modelling", rows(prompt=["the"]), {"generated_length": 0}, "generated_length=0: expected"),
    ("tagging", rows(tokens=[["a", " "]]), {}, "row 1: 'tokens' is ['a', ' '], expected a list of words"),
    ("csv_regression", rows(id=["a"], time=[1], x=[1.0], y=[None]), {}, "request.csv, line 2: column 'y' is"),
    ("csv_regression", rows(id=["a", "a"], time=[1, 1], x=[1.0, 2.0], y=[1.0, 2.0]), {}, "request.csv, line 3"),
    ("csv_forecasting", rows(date=["2024-01-01"], wave=[1.0], week=[1.0]), {}, "1 rows, but a forecast takes"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "asked", "params", "message"), WRONG, ids=[case[3] for case in WRONG])
def test_a_wrong_request_is_one_message(
    servers: Mapping[str, Served], kind: str, asked: pd.DataFrame, params: dict[str, Any], message: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as raised:
        servers[kind].predict(asked, params)
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
    assert message in raised.value.message
    assert "seqsweep-" not in raised.value.message  # no path of ours


def test_parameters_hold_for_one_request(servers: Mapping[str, Served]) -> None:
    served, asked = servers["language_modelling"], rows(prompt=["the cat"])
    before = served.predict(asked)["continuation"][0]
    short = served.predict(asked, {"generated_length": 3, "temperature": 0.0})["continuation"][0]
    assert len(short.split(" ")) == 3
    assert served.predict(asked)["continuation"][0] == before


def test_rows_of_other_kinds_of_time(servers: Mapping[str, Served]) -> None:
    served = servers["csv_regression"]
    numbers = rows(id=[7, 7], time=[1, 2], x=[1.0, 2.0], y=[0.5, 0.5])
    dates = numbers.assign(time=["2024-01-01", "2024-01-02"])
    moments = numbers.assign(time=pd.to_datetime(dates["time"]))
    said = [served.predict(asked)["target"][0] for asked in (numbers, dates, moments)]
    assert len(set(said)) == 1
    assert served.predict(numbers)["id"].tolist() == ["7"]


def test_every_kind_has_a_form_or_says_that_it_has_none() -> None:
    modules = {
        kind for name in kinds.__all__
        if isinstance(kind := getattr(kinds, name), type) and issubclass(kind, kinds.SequenceData)
    } - {kinds.SequenceData}  # fmt: skip
    assert modules - set(FORMS) == {kinds.Adding, kinds.CopyMemory}
    with pytest.raises(NoFormError, match="data of kind Adding has no form"):
        form_for(kinds.Adding())


def test_a_model_names_our_own_classes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqsweep.errors import ConfigError

    run = leave(tmp_path / "run", "data=digits", "model=gru")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("seqsweep.data.Digits", "seqsweep.data.digits.Digits"))
    with pytest.raises(ConfigError, match=r"seqsweep's own classes.* SEQSWEEP_ALLOW names such classes"):
        load(run)
    monkeypatch.setenv("SEQSWEEP_ALLOW", "seqsweep.data.digits.Digits")
    assert isinstance(load(run), Served)
