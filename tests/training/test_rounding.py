"""``trainer.matmul_precision`` and ``precision``: what a run is told to round, and that it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from seqsweep.errors import ConfigError
from seqsweep.protocol import Complete, LocalContext
from seqsweep.stacking.jobs import run
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, train
from training.tiny import config

Flags = tuple[str, bool, bool]


def flags() -> Flags:
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )


class Looking(Callback):
    """Puts down the flags under which the epoch begins."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_start(self, *args: Any) -> None:
        self.path.write_text(json.dumps(flags()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, flags()),
        ({"trainer__matmul_precision": None}, flags()),
        ({"trainer__matmul_precision": "highest"}, ("highest", False, False)),
        ({"trainer__matmul_precision": "high"}, ("high", True, True)),
        ({"trainer__matmul_precision": "medium"}, ("medium", True, True)),
    ],
)
def test_it_holds_for_a_run_and_no_longer(tmp_path: Path, given: dict[str, Any], expected: Flags) -> None:
    before = flags()
    callbacks = [{"_target_": "training.test_rounding.Looking", "path": str(tmp_path / "seen")}]
    made = config(**given, trainer__max_epochs=1, trainer__callbacks=callbacks)
    outcome = train(build(made), context=LocalContext(tmp_path), tracker=MemoryTracker())
    assert isinstance(outcome, Complete)
    assert tuple(json.loads((tmp_path / "seen").read_text())) == expected
    assert flags() == before


def test_a_stack_has_that_of_its_members(tmp_path: Path) -> None:
    before = flags()
    made = config(trainer__max_epochs=1, trainer__matmul_precision="high")
    context = LocalContext(tmp_path)
    seen = []
    for _, outcome in run([{"config": made}], [context]):
        assert isinstance(outcome, Complete)
        seen.append(flags())
    assert seen == [("high", True, True)]
    assert flags() == before


def test_what_cannot_be_is_said() -> None:
    said = "trainer.matmul_precision=tf32: expected one of highest, high, medium"
    with pytest.raises(ConfigError, match=said):
        build(config(trainer__matmul_precision="tf32"))


KINDS: dict[str, dict[str, Any]] = {
    "gru": {"model": {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": 8}},
    "lstm": {
        "model": {"_target_": "seqsweep.models.LSTM", "_partial_": True, "hidden_size": 8, "num_layers": 2}
    },
    "seq2seq": {
        "data": {"_target_": "training.pairs.Copying", "batch_size": 16, "seed": 0},
        "model": {"_target_": "seqsweep.models.Seq2Seq", "_partial_": True, "hidden_size": 8},
        "task": {"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True},
    },
}


@pytest.mark.parametrize("name", KINDS)
def test_half_precision_trains_an_epoch_at_a_time_and_comes_out_near(tmp_path: Path, name: str) -> None:
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        folder = tmp_path / precision
        folder.mkdir()
        tracker = MemoryTracker()
        built = build(config(**KINDS[name], trainer__precision=precision))
        outcome = train(built, context=LocalContext(folder), tracker=tracker)
        assert isinstance(outcome, Complete)
        assert tracker.tags["seqsweep.steps"] == "an epoch at a time"
        assert all(weight.dtype == torch.float32 for weight in built.model.parameters())
        losses[precision] = outcome.detail["val/loss"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.1)
    assert losses["bf16-mixed"] != losses["32-true"]
