"""Models in a real store: logged at a run's end, registered once, found again by their alias."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from end_to_end.test_own_files import text_classification
from seqsweep.cli import main
from seqsweep.cli.publishing import Wish
from seqsweep.errors import ConfigError

ASKED = pd.DataFrame({"text": ["an awful day", "a lovely day"]})


@dataclass
class Home:
    folder: Path
    runs: list[str]

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    def versions(self, name: str) -> dict[str, str]:
        """Runs by version."""
        return {str(one.version): one.run_id for one in self.client.search_model_versions(f"name = '{name}'")}

    def best(self, name: str) -> str:
        return str(self.client.get_model_version_by_alias(name, "best").version)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two runs: the model of the first is registered, that of the second not even logged."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSWEEP_HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        own = text_classification(folder)
        train = ["train", "data=text_classification", *own.train, "model=gru", "model.hidden_size=8"]
        for more in (["tracking.register=reviews"], ["tracking.log_model=false", "seed=1"]):
            assert main([*train, "trainer.max_epochs=1", *more]) == 0
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    [experiment] = [one.experiment_id for one in client.search_experiments() if one.name == "seqsweep"]
    found = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    return Home(folder, [run.info.run_id for run in found])


@pytest.fixture
def home(trained: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SEQSWEEP_HOME", str(trained.folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.uri)
    monkeypatch.chdir(trained.folder)
    return trained


def test_a_run_has_a_model_that_says_what_predict_says(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    first = home.runs[0]
    answers = [
        mlflow.pyfunc.load_model(uri).predict(ASKED)
        for uri in (f"runs:/{first}/model", "models:/reviews@best")
    ]
    pd.testing.assert_frame_equal(*answers)
    assert main(["predict", first, str(home.folder / "asked.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    for line, (_, row) in zip(lines, answers[0].iterrows(), strict=True):
        _, label, share = line.rsplit(",", 2)
        assert json.loads(label) == row["label"]
        assert float(share) == pytest.approx(row[f"probability_{row['label']}"], abs=1e-6)


def test_what_the_store_knows_of_it(home: Home) -> None:
    first = home.runs[0]
    run = home.client.get_run(first)
    [output] = run.outputs.model_outputs
    model = home.client.get_logged_model(output.model_id)
    assert (model.source_run_id, model.name, model.status) == (first, "model", "READY")
    known = {metric.key: metric.value for metric in model.metrics}
    assert known["test/accuracy"] == run.data.metrics["test/accuracy"]
    assert known["best/val/loss"] == run.data.metrics["best/val/loss"]
    place = Path(model.artifact_location.removeprefix("file://"))
    about = yaml.safe_load((place / "MLmodel").read_text())
    assert about["run_id"] == first
    assert about["flavors"]["python_function"]["loader_module"] == "seqsweep.serving"
    assert home.client.get_run(home.runs[1]).outputs.model_outputs == []


def test_registered_once_a_run_and_the_alias_moves(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = home.runs
    assert home.versions("reviews") == {"1": first}
    assert main(["register", first, "reviews"]) == 0
    assert home.versions("reviews") == {"1": first}
    assert main(["register", second[:12], "reviews"]) == 0  # its model is logged now
    assert home.versions("reviews") == {"1": first, "2": second}
    assert home.best("reviews") == "2"
    assert main(["register", first, "reviews", "--alias", "best"]) == 0
    assert (home.best("reviews"), len(home.versions("reviews"))) == ("1", 2)
    printed = capsys.readouterr().out
    assert "models:/reviews@best (version 2)" in printed
    assert "mlflow models serve --env-manager local -m models:/reviews@best" in printed
    assert len(home.client.get_run(first).outputs.model_outputs) == 1


def test_a_model_that_is_logged_is_registered_without_a_look_at_the_run_s_data(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    data, away = home.folder / "own.csv", home.folder / "away.csv"
    data.rename(away)
    try:
        assert main(["register", home.runs[0], "again"]) == 0
    finally:
        away.rename(data)
    assert capsys.readouterr().err == ""
    assert home.versions("again") == {"1": home.runs[0]}


def test_the_warehouse_holds_three_files_of_a_run_and_nothing_pickled(home: Home) -> None:
    [place] = {path.parent for path in home.folder.glob("mlartifacts/*/models/*/artifacts/MLmodel")} & {
        Path(home.client.get_logged_model(home.client.get_run(home.runs[0]).outputs.model_outputs[0].model_id)
             .artifact_location.removeprefix("file://"))
    }  # fmt: skip
    stored = {path.name for path in (place / "data" / "run").iterdir()}
    assert stored == {"config.yaml", "data.json", "best.ckpt"}
    assert not [path for path in place.rglob("*") if path.suffix in (".pkl", ".pickle")]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["register", "{run}", "a/b"], "NAME=a/b: expected a name of up to 250 characters, without '/', ':' and quotes"),
        (["register", "{run}", "it's"], "NAME=it's: expected a name of up to 250 characters"),
        (["register", "{run}", "a", "--alias", "v3"], "--alias=v3: expected letters, digits"),
        (["register", "{run}", "a", "data.root=x"], "'data.root=x': a run's model is registered as it is"),
        (["register", "nowhere", "a"], "no run 'nowhere'"),
        (["train", "data=digits", "model=gru", "tracking.register=a:b"], "tracking.register=a:b: expected a name"),
        (["train", "data=digits", "model=gru", "tracking.register=a", "tracking.alias=latest"], "tracking.alias=latest:"),
        (["train", "data=digits", "model=gru", "tracking.log_model=2"], "tracking.log_model=2: expected true or false"),
        (["train", "data=adding", "model=gru", "tracking.register=a"], "data of kind Adding has no form"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_written(
    home: Home, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    before = sorted(home.folder.glob("outputs/*/*"))
    assert main([word.format(run=home.runs[0]) for word in command]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert sorted(home.folder.glob("outputs/*/*")) == before


def test_a_wish_without_keys_is_none() -> None:
    assert Wish.of({}) == Wish(False, None, "best")
    with pytest.raises(
        ConfigError, match=r"tracking\.register=a: expected null with tracking\.log_model=false"
    ):
        Wish.of({"log_model": False, "register": "a"})


def test_a_damaged_run_is_no_model(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    second = home.runs[1]
    [config] = home.folder.glob(f"mlartifacts/*/{second}/artifacts/config.yaml")
    whole = config.read_text()
    config.write_text(whole.replace("seqsweep.data.TextClassification", "os.getcwd"))
    try:
        assert main(["register", second, "damaged"]) == 2
    finally:
        config.write_text(whole)
    assert "a stored run may name only seqsweep's own classes" in capsys.readouterr().err
    assert home.client.search_registered_models("name = 'damaged'") == []
