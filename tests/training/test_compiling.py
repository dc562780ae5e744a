"""``trainer.compile``: the same run, compiled; and what is said where it cannot be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch._inductor.config

from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.protocol import Complete, Interrupted, LocalContext, Outcome
from seqsweep.stacking import plan
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, compiling, train
from training import texts
from training.tiny import Answering, config

# torch's own, from what it imports in order to compile
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
compiler = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="no C++ compiler")

GRU = {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": 4}
SEQ2SEQ: dict[str, Any] = {
    "data": {"_target_": "training.pairs.Copying", "batch_size": 60, "seed": 0},
    "model": {"_target_": "seqsweep.models.Seq2Seq", "_partial_": True, "hidden_size": 8, "dropout": 0.2},
    "task": {"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True},
}
KINDS: dict[str, tuple[object, dict[str, Any]]] = {
    "our loops": (True, {"model": GRU | {"num_layers": 2, "dropout": 0.3, "recurrent_dropout": 0.2}}),
    "loop over cells": (True, {"model": GRU | {"layer_norm": True, "bidirectional": True}}),
    "loops for kernels": ("reduce-overhead", {"model": GRU | {"_target_": "seqsweep.models.LSTM"}}),
    "kernels, accumulating": (
        "default",
        {"model": GRU | {"_target_": "seqsweep.models.LSTM"}, "trainer__accumulate_grad_batches": 3},
    ),
    "attention over padding": ("reduce-overhead", SEQ2SEQ),
    "half precision": (True, {"model": GRU, "trainer__precision": "bf16-mixed"}),
}

SLOW = ("loop over cells", "attention over padding")
"""What is traced step by step; half a minute to compile, and more."""


def run(
    directory: Path, wanted: object, context: LocalContext | None = None, **options: Any
) -> tuple[Outcome, MemoryTracker]:
    directory.mkdir(exist_ok=True)
    tracker = MemoryTracker()
    made = config(**{"trainer__max_epochs": 2, **options, "trainer__compile": wanted})
    made["tracking"]["keep_checkpoints"] = "all"
    return train(build(made), context=context or LocalContext(directory), tracker=tracker), tracker


def weights(directory: Path) -> dict[str, torch.Tensor]:
    stored: dict[str, torch.Tensor] = torch.load(directory / "best.ckpt", weights_only=True)["state_dict"]
    return stored


def same(first: Path, second: Path, scale: float = 1e-4) -> None:
    known, other = weights(first), weights(second)
    assert list(known) == list(other)
    for name, value in known.items():
        torch.testing.assert_close(other[name], value, rtol=scale, atol=scale)


@compiler
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.real if name in SLOW else ()) for name in KINDS]
)
def test_the_same_run(tmp_path: Path, name: str) -> None:
    wanted, options = KINDS[name]
    known, _ = run(tmp_path / "plain", False, **options)
    other, tracker = run(tmp_path / "compiled", wanted, **options)
    assert isinstance(known, Complete)
    assert isinstance(other, Complete)
    scale = 2e-2 if name == "half precision" else 1e-4
    assert other.detail == pytest.approx(known.detail, rel=scale)
    same(tmp_path / "plain", tmp_path / "compiled", scale)
    assert tracker.tags["seqsweep.compile"] == ("default" if wanted is True else wanted)
    assert tracker.tags["seqsweep.steps"] == "an epoch at a time"


@compiler
def test_a_carried_state_and_a_continuation(tmp_path: Path) -> None:
    story = texts.config(tmp_path)
    run(tmp_path / "plain", False, **story)
    run(tmp_path / "whole", "reduce-overhead", **story)
    leaving = Answering(tmp_path / "parts")
    leaving.steps = 13
    outcome, _ = run(tmp_path / "parts", "reduce-overhead", leaving, **story)
    assert isinstance(outcome, Interrupted)
    run(tmp_path / "parts", "reduce-overhead", **story)
    same(tmp_path / "plain", tmp_path / "whole")
    same(tmp_path / "whole", tmp_path / "parts", 1e-6)


@compiler
def test_lengths_that_differ_do_not_compile_anew() -> None:
    task = build(config(model=GRU)).task
    inputs, targets, lengths = torch.randn(40, 30, 3), torch.randint(2, (40,)), torch.arange(1, 41) % 5 + 1
    task.on_fit_start()
    torch._dynamo.utils.counters.clear()
    with compiling.compiled(task, "default"):
        for size in range(40, 20, -1):
            time = 5 + size // 2
            task.training_step(Batch(inputs[:size, :time], targets[:size], lengths[:size]), 0).backward()
        assert 1 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 3
    assert task.compiled is None


def test_no_compiler(tmp_path: Path) -> None:
    said = r"trainer.compile=default: expected false where there is no C\+\+ compiler; install g\+\+"
    with (
        torch._inductor.config.patch({"cpp.cxx": ("/nowhere/g++",)}),
        pytest.raises(ConfigError, match=said),
    ):
        run(tmp_path, True)


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer.compile=fast: expected one of true, false, default"):
        run(tmp_path, "fast")
    said = "trainer.compile=reduce-overhead: expected default with trainer.accumulate_grad_batches=2"
    with pytest.raises(ConfigError, match=said):
        run(tmp_path, "reduce-overhead", trainer__accumulate_grad_batches=2)
    own = {"_target_": "training.test_epochs.OwnStep", "_partial_": True}
    with pytest.raises(
        ConfigError, match="expected false with OwnStep, which has a training_step of its own"
    ):
        run(tmp_path, True, task=own)


def test_a_compiled_trial_runs_alone() -> None:
    model = {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": 4}
    for wanted in (True, "reduce-overhead"):
        verdict = plan.verdict(config(model=model, trainer__compile=wanted), cpu=True)
        assert verdict.reason == f"trainer.compile={wanted} is not for a stack"
    assert plan.verdict(config(model=model, trainer__compile=False), cpu=True).key
    keys = {
        plan.verdict(config(model=model, trainer__matmul_precision=precision), cpu=True).key
        for precision in ("highest", None, "high")
    }
    assert len(keys) == 3
