"""Runs that cannot be used any more, or only in part: each is one clear line. And what Python makes of runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import seqsweep
from cli.stored_home import Home, refused
from seqsweep.cli import main
from seqsweep.errors import ConfigError

COMMANDS = ("evaluate", "reproduce")


@pytest.fixture
def moved(tmp_path: Path) -> Any:
    """Takes a file or folder away; it is put back afterwards."""
    taken: list[tuple[Path, Path]] = []

    def take(path: Path) -> None:
        taken.append((path, tmp_path / f"away{len(taken)}"))
        shutil.move(*taken[-1])

    yield take
    for path, away in taken:
        shutil.move(away, path)


@pytest.mark.parametrize(
    ("command", "missing"), [*((command, "RUN") for command in COMMANDS), ("register", "RUN, NAME")]
)
def test_only_what_has_to_be_given_is_asked_for(
    capsys: pytest.CaptureFixture[str], command: str, missing: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command])
    assert capsys.readouterr().err.endswith(f"required: {missing}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_runs_that_are_not_there(home: Home, capsys: pytest.CaptureFixture[str], command: str) -> None:
    for name, message in {
        "zz": "no run 'zz' in sqlite:",
        "f" * 32: f"no run '{'f' * 32}'",
        "nothing/best": "no study 'nothing' in",
        "": "no run ''",
    }.items():
        assert message in refused(capsys, command, name)


def test_data_that_is_gone(
    home: Home, moved: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, train = home.run("TextClassification"), home.folder / "reviews.csv"
    moved(train)
    for command in COMMANDS:
        assert f"data.train={train}: there is no such file" in refused(capsys, command, run)
    asked = tmp_path / "asked.csv"
    asked.write_text("text\nan awful day\n")
    assert main(["predict", run, str(asked)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint(
    home: Home, changed: Any, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    whole = (home.artifacts("Digits") / "best.ckpt").read_bytes()
    run = changed("Digits", "best.ckpt", whole[: int(share * len(whole))])
    assert "best.ckpt cannot be read: it is damaged, or no checkpoint" in refused(capsys, "evaluate", run)
    with pytest.raises(ConfigError, match=r"best\.ckpt cannot be read"):
        _ = seqsweep.load_run(run).model


def test_the_checkpoint_of_another_model(
    home: Home, changed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    other = (home.artifacts("TextClassification") / "best.ckpt").read_bytes()
    message = refused(capsys, "evaluate", changed("Digits", "best.ckpt", other))
    assert "best.ckpt does not fit the configured model" in message


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_a_truncated_configuration(
    home: Home, changed: Any, capsys: pytest.CaptureFixture[str], command: str, share: float
) -> None:
    whole = (home.artifacts("Digits") / "config.yaml").read_bytes()
    run = changed("Digits", "config.yaml", whole[: int(share * len(whole))])
    assert "config.yaml" in refused(capsys, command, run)


def test_artifacts_that_are_gone(home: Home, moved: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run, place = home.run("Digits"), home.artifacts("Digits")
    moved(place)
    for command in COMMANDS:
        message = refused(capsys, command, run)
        assert f"has no config.yaml: its artifacts are gone from {place}" in message.replace("file://", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer._target_", "os._exit"),
        ("scheduler", {"_target_": "os._exit", "status": 3}),
        ("trainer.callbacks", {"evil": {"_target_": "os._exit", "status": 3}}),
        ("optimizer.betas", [{"_target_": "os._exit", "status": 3}, 0.9]),
    ],
)
def test_nothing_hostile_is_trained(
    changed: Any, capsys: pytest.CaptureFixture[str], key: str, value: object
) -> None:
    message = refused(capsys, "reproduce", changed.config("Digits", key, value))
    assert "security.allow=[os._exit] admits it" in message


def test_the_model_in_python(home: Home) -> None:
    run = seqsweep.load_run(home.run("Digits"))
    assert run.config["model"]["hidden_size"] == 8
    model = run.model
    assert not model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    with torch.no_grad():
        assert model(torch.zeros(2, 8, 8)).shape == (2, 10)
    assert run.history("val/accuracy").iloc[-1] == run.metrics["val/accuracy"]


def test_predictions_in_python(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("text\nan awful day\na lovely day\n")
    run = seqsweep.load_run(home.run("TextClassification"))
    assert len(run.predict(asked)) == 2
    capsys.readouterr()
    assert len(run.model(torch.tensor([[1, 2]]))) == 1  # of tokens
