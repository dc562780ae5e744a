"""A GPU's kernels want an `nn.RNNBase`'s own weights, as it has laid them out: nothing may put others in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqsweep.protocol import Complete, Interrupted, LocalContext
from seqsweep.tasks import Task
from seqsweep.tracking import MemoryTracker
from seqsweep.training import Built, build, train
from seqsweep.training.running import load_checkpoint
from training.tiny import Answering, config

LSTM = {"_target_": "seqsweep.models.LSTM", "_partial_": True, "hidden_size": 4, "num_layers": 2}


def made(**changes: Any) -> tuple[Built, nn.LSTM]:
    built = build(config(model=LSTM, trainer__max_epochs=2, **changes))
    layers: Any = built.model
    return built, layers.recurrent


def own(layers: nn.LSTM) -> list[int]:
    return [id(weight) for weight in layers.parameters()]


def read_by_the_kernel(layers: nn.LSTM) -> list[int]:
    """What the module hands over, and what `flatten_parameters` has laid out."""
    return [id(weight) for weight in layers._flat_weights]


def watched(layers: nn.LSTM) -> list[list[int]]:
    """What the kernel reads at each call from now on."""
    seen: list[list[int]] = []
    layers.register_forward_pre_hook(lambda module, _: seen.append(read_by_the_kernel(layers)))
    return seen


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_fit_and_a_test_call_the_kernel_on_the_modules_own(tmp_path: Path, precision: str) -> None:
    built, layers = made(trainer__precision=precision)
    before, seen = own(layers), watched(layers)
    outcome = train(built, context=LocalContext(tmp_path), tracker=MemoryTracker())
    assert isinstance(outcome, Complete)
    assert len(seen) > 16
    assert all(each == before for each in seen)
    assert own(layers) == before


def test_so_does_a_continuation(tmp_path: Path) -> None:
    leaving = Answering(tmp_path)
    leaving.steps = 11
    outcome = train(made()[0], context=leaving, tracker=MemoryTracker())
    assert isinstance(outcome, Interrupted)
    built, layers = made()
    before, seen = own(layers), watched(layers)
    assert isinstance(train(built, context=LocalContext(tmp_path), tracker=MemoryTracker()), Complete)
    assert seen
    assert all(each == before for each in seen)


def test_a_checkpoint_is_copied_into_them(tmp_path: Path) -> None:
    built, layers = made()
    train(built, context=LocalContext(tmp_path), tracker=MemoryTracker())
    other, fresh = made()
    before, places = own(fresh), [weight.data_ptr() for weight in fresh.parameters()]
    load_checkpoint(other.task, tmp_path / "best.ckpt")
    assert read_by_the_kernel(fresh) == own(fresh) == before
    assert [weight.data_ptr() for weight in fresh.parameters()] == places
    for known, loaded in zip(layers.parameters(), fresh.parameters(), strict=True):
        torch.testing.assert_close(loaded, known)


def test_after_a_move_they_are_the_new_ones() -> None:
    built, layers = made()
    task: Task = built.task
    task.to(torch.device("meta"))
    assert read_by_the_kernel(layers) == own(layers)
