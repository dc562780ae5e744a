"""``seqsweep evaluate`` and ``seqsweep predict`` on runs that were really trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.stored_home import Home, documents, refused, write_reviews
from seqsweep.cli import main

# ---------------------------------------------------------------- what a run stores


def test_what_the_data_taught_is_kept(home: Home) -> None:
    own = json.loads((home.artifacts("TextClassification") / "data.json").read_text())
    assert own["spec"]["class_names"] == ["bad", "good"]
    assert own["fitted"]
    assert (own["data"]["train"], own["data"]["val"], own["data"]["test"]) == (48, 6, 6)
    digits = json.loads((home.artifacts("Digits") / "data.json").read_text())
    assert digits["fitted"] == {}
    assert digits["spec"]["input_size"] == 8


def test_pictures_are_kept(home: Home) -> None:
    pictures = home.artifacts("Digits") / "pictures"
    assert sorted(picture.name for picture in pictures.iterdir()) == ["confusion.png", "learning_curves.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures.iterdir())


# ---------------------------------------------------------------- evaluate


@pytest.mark.parametrize("kind", ["TextClassification", "Digits"])
def test_evaluated_again_the_metrics_are_the_same(
    home: Home, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    before = sorted(home.artifacts(kind).rglob("*"))
    found = documents(capsys, "evaluate", home.run(kind), "--json")
    assert found["same"] is True
    assert found["metrics"] == found["recorded"]
    assert sorted(home.artifacts(kind).rglob("*")) == before


def test_as_text(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", home.run("Digits")[:12]]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"run gru digits ({home.run('Digits')[:8]})"
    assert any(line.startswith("test/accuracy  ") for line in printed)
    assert printed[-1] == "recorded: the same"


def test_on_other_data(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "an awful day,good\n" * 5)
    found = documents(capsys, "evaluate", home.run("TextClassification"), f"data.test={other}", "--json")
    assert found["overrides"] == [f"data.test={other}"]
    assert found["same"] is None
    assert found["metrics"]["test/accuracy"] == 0.0


def test_the_training_file_may_be_gone_where_other_data_is_tested(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = write_reviews(tmp_path / "other.csv", 10)
    train = home.folder / "reviews.csv"
    away = train.rename(tmp_path / "away.csv")
    try:
        found = documents(capsys, "evaluate", home.run("TextClassification"), f"data.test={other}", "--json")
    finally:
        away.rename(train)
    assert found["metrics"]["test/accuracy"] > 0.5


OVERRIDES = [
    ("data.tset=x", "data.tset: the run's configuration has no such key; did you mean 'data.test'?"),
    ("data=digits", "data: the run's configuration has no such key"),
    ("+data.x=1", "expected key=value with one value, for a key that the run has"),
    ("data.batch_size=1,2", "expected key=value with one value"),
    ("data.batch_size", "'data.batch_size' cannot be read: expected key=value"),
    ("optimizer.lr=1", "optimizer.lr=1: makes no difference to a run that is trained already"),
    ("data.batch_size=0", "data.batch_size=0: expected an integer of at least 1"),
    ("data.test=nowhere.csv", "data.test=nowhere.csv: there is no such file"),
    ("model.hidden_size=16", "best.ckpt does not fit the configured model"),
    ("model._target_=seqsweep.models.LSTM", "model.reset_after=True: LSTM takes"),
    ("data.split_by='${oc.env:HOME}'", "expected a plain value"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "message"), OVERRIDES, ids=[case[0] for case in OVERRIDES])
def test_overrides_that_are_wrong(
    home: Home, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert message in refused(capsys, "evaluate", home.run("TextClassification"), override)


# ---------------------------------------------------------------- a configuration that cannot be trusted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data._target_", "os.system"),
        ("model._target_", "seqsweep.models.base.nn.modules.module.functools.partial"),
        ("model._target_", "seqsweep.models.recurrent.GRU"),
        ("model._target_", "seqsweep.models.GRU.load_state_dict"),
        ("model._target_", "seqsweep.tasks.Classification"),
        ("model._target_", "seqsweep.models.RecurrentModel.mro"),
        ("task._target_", "seqsweep.tasks.base.torch.load"),
        ("task._target_", ["seqsweep.tasks.Classification"]),
        ("task._target_", None),
        ("data.root", {"_target_": "os.getcwd"}),
        ("data.root", [{"deeper": {"_target_": "os.getcwd"}}]),
    ],
)
def test_other_classes_than_ours_are_refused_by_name(
    changed: Any, capsys: pytest.CaptureFixture[str], key: str, value: Any
) -> None:
    run = changed.config("Digits", key, value)
    message = refused(capsys, "evaluate", run)
    assert "a stored run may name only seqsweep's own classes" in message
    assert f"security.allow=[{value}] admits it" in message or not isinstance(value, str)


@pytest.mark.parametrize(
    "hiding",
    ["!!pairs [x: {_target_: os.getcwd}]", "!!omap [x: '${oc.env:HOME}']", "!!set {x}", "2020-01-01"],
)
def test_what_json_cannot_say_is_refused(
    changed: Any, capsys: pytest.CaptureFixture[str], hiding: str
) -> None:
    run = changed(
        "Digits", "config.yaml", f"data: {{_target_: seqsweep.data.Digits, batch_size: {hiding}}}".encode()
    )
    assert "config.yaml: data.batch_size" in refused(capsys, "evaluate", run)


def test_a_class_that_the_user_allows(changed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed.config("Digits", "data._target_", "seqsweep.data.digits.Digits")
    allow = "security.allow=[seqsweep.data.digits.Digits]"
    assert f"{allow} admits it" in refused(capsys, "evaluate", run)
    found = documents(capsys, "evaluate", run, "--json", allow)
    assert found["same"] is True
    assert found["overrides"] == []


def test_callbacks_of_a_stored_run_are_not_made(changed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed.config("Digits", "trainer.callbacks", {"evil": {"_target_": "os._exit", "status": 3}})
    assert documents(capsys, "evaluate", run, "--json")["same"] is True


class Evil:
    """Unpickled it would end the tests."""

    def __reduce__(self) -> Any:
        import os

        return os._exit, (3,)


def test_a_checkpoint_is_read_for_its_tensors_only(
    changed: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    torch.save({"state_dict": Evil(), "global_step": 1}, tmp_path / "evil.ckpt")
    run = changed("Digits", "best.ckpt", (tmp_path / "evil.ckpt").read_bytes())
    assert "best.ckpt cannot be read: it is damaged, or no checkpoint" in refused(capsys, "evaluate", run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("best.ckpt", b"", "best.ckpt cannot be read"),
        ("best.ckpt", b"no checkpoint at all", "best.ckpt cannot be read"),
        ("config.yaml", b"a: [1", "config.yaml: not readable"),
        ("config.yaml", b"- 1", "config.yaml: expected a mapping"),
        ("config.yaml", b"a: !!python/object/apply:os.getcwd []", "config.yaml: not readable"),
        ("config.yaml", b"seed: 0", "config.yaml: data=None: not the configuration of a run of ours"),
        ("data.json", b"{", "data.json: not readable"),
        ("data.json", b'{"spec": {"input_size": 9}}', "its input_size is 8, and the run was trained on 9"),
    ],
)
def test_files_that_are_damaged(
    changed: Any, capsys: pytest.CaptureFixture[str], name: str, content: bytes, message: str
) -> None:
    assert message in refused(capsys, "evaluate", changed("Digits", name, content))


@pytest.mark.parametrize(
    ("learnt", "message"),
    [
        ({"fitted": {"nothing": 1}}, "data.json: not what TextClassification had learnt (KeyError: "),
        ({"fitted": [1]}, "data.json: expected mappings under fitted and spec"),
        (
            {"spec": {"class_names": ["x", "y"]}},
            "its class_names is ['bad', 'good'], and the run was trained on",
        ),
    ],
)
def test_what_was_learnt_is_damaged(
    changed: Any, home: Home, capsys: pytest.CaptureFixture[str], learnt: dict[str, Any], message: str
) -> None:
    whole = json.loads((home.artifacts("TextClassification") / "data.json").read_text())
    run = changed("TextClassification", "data.json", json.dumps(whole | learnt).encode())
    assert message in refused(capsys, "evaluate", run)
    assert message in refused(capsys, "predict", run, str(home.folder / "reviews.csv"))


# ---------------------------------------------------------------- predict


def test_predictions_for_a_file(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("text\nan awful day\na lovely day\n")
    assert main(["predict", home.run("TextClassification"), str(asked)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert ["bad" in line for line in printed[1:]] == [True, False] or "label" in printed[0]


def test_predictions_into_a_file_and_options_anywhere(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = write_reviews(tmp_path / "asked.csv", 20)
    run = home.run("TextClassification")
    assert main(["predict", run, str(asked)]) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "out.csv"
    assert main(["predict", "-o", str(out), run, str(asked), "data.eval_batch_size=3"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"20 predictions: {out}\n"
    assert len(out.read_text().splitlines()) == len(printed.splitlines()) == 21
    assert main(["predict", run, str(asked), "-o", str(out), "data.eval_batch_size=20"]) == 0
    assert out.read_text() == printed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_data_that_is_not_read_from_files(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = write_reviews(tmp_path / "asked.csv", 4)
    message = refused(capsys, "predict", home.run("Digits"), str(asked))
    assert "the run was trained on Digits, which is not read from a file of one's own" in message


def test_files_that_are_wrong(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run, asked = home.run("TextClassification"), write_reviews(tmp_path / "asked.csv", 4)
    assert "nowhere.csv: there is no such file" in refused(capsys, "predict", run, "nowhere.csv")
    (tmp_path / "empty.csv").touch()
    assert str(tmp_path / "empty.csv") in refused(capsys, "predict", run, str(tmp_path / "empty.csv"))
    for out in (tmp_path, tmp_path / "nowhere" / "out.csv"):
        message = refused(capsys, "predict", run, str(asked), "-o", str(out))
        assert "expected a file in a folder that is there" in message
    assert "that is the file to predict for" in refused(capsys, "predict", run, str(asked), "-o", str(asked))
    assert "did you mean 'data.level'" in refused(capsys, "predict", run, str(asked), "data.levle=x")


def test_unknown_options(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["evaluate", "x", "--jsn"], ["list", "digits"], ["predict", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
    assert "unrecognized arguments: --jsn" in capsys.readouterr().err
