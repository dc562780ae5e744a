"""The shipped configuration groups that make up a run, composed and built."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqsweep import paths
from seqsweep.models import GRU, LSTM, RNN, Seq2Seq
from seqsweep.training import build


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        config = compose("train", list(overrides))
    made = OmegaConf.to_container(config, resolve=True)
    assert isinstance(made, dict)
    return {str(key): value for key, value in made.items()}


@pytest.mark.parametrize(("name", "model"), [("rnn", RNN), ("lstm", LSTM), ("gru", GRU)])
def test_models(name: str, model: type) -> None:
    built = build(composed("data=digits", f"model={name}", "model.num_layers=2", "model.dropout=0.2"))
    assert type(built.model) is model


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("scheduler", ["none", "cosine", "plateau"])
def test_optimizers_and_schedulers(name: str, scheduler: str) -> None:
    task = build(composed("data=digits", f"optimizer={name}", f"scheduler={scheduler}")).task
    made = task.configure_optimizers()
    optimizer = made if scheduler == "none" else made["optimizer"]
    assert type(optimizer).__name__.lower() == name


def test_experiments() -> None:
    built = build(composed("experiment=scan_simple"))
    assert isinstance(built.model, Seq2Seq)
    assert built.task.monitor == ("val/exact_match", "maximize")
    assert (
        build(composed("experiment=scan_simple", "model.hidden_size=16", "scheduler=none")).config[
            "scheduler"
        ]
        is None
    )


@pytest.mark.parametrize("group", ["model", "task", "optimizer", "scheduler", "trainer", "experiment"])
def test_every_file_shows_its_command(group: str) -> None:
    for path in sorted((paths.shipped("conf") / group).glob("*.yaml")):
        header = [line for line in path.read_text().splitlines() if line.startswith("#")]
        assert any("seqsweep train" in line for line in header), path
