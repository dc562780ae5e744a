"""The gradient's way back through a sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.model_cases import NUMBERS, PAIRS, generator, numbers
from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, RNN, Seq2Seq
from seqsweep.protocol import LocalContext
from seqsweep.tasks import Classification, pictures
from seqsweep.tasks import Seq2Seq as Seq2SeqTask
from seqsweep.tracking import MemoryTracker
from seqsweep.training import train
from seqsweep.training.gradients import gradient_flow
from training.tiny import tiny


def batch(lengths: list[int] | None = None) -> Batch:
    targets = torch.randint(0, 4, (6,), generator=generator())
    return Batch(numbers(6), targets, None if lengths is None else torch.tensor(lengths))


def test_it_is_the_derivative_at_each_step() -> None:
    torch.manual_seed(0)
    task = Classification(RNN(NUMBERS, hidden_size=4), NUMBERS, torch.optim.Adam)
    whole = batch()
    inputs = whole.inputs.clone().requires_grad_()
    loss, _, _ = task.loss(*task.tensors(), Batch(inputs, whole.targets), None, None)
    loss.backward()
    assert inputs.grad is not None
    expected = inputs.grad.norm(dim=-1).mean(dim=0).flip(0) * 6
    np.testing.assert_allclose(gradient_flow(task, whole), expected[None], rtol=1e-5)


def test_distances_are_from_each_sequences_own_end() -> None:
    torch.manual_seed(0)
    task = Classification(
        GRU(NUMBERS, hidden_size=4, num_layers=3, bidirectional=True), NUMBERS, torch.optim.Adam
    )
    flow = gradient_flow(task, batch([6, 3, 1, 2, 6, 5]))
    assert flow.shape == (3, 6)
    assert (flow > 0).all()


def test_a_network_whose_recurrence_shrinks_forgets() -> None:
    task = Classification(RNN(NUMBERS, hidden_size=4), NUMBERS, torch.optim.Adam)
    with torch.no_grad():
        task.model.recurrent.weight_hh_l0.mul_(0.01)  # type: ignore[union-attr, operator]
    flow = gradient_flow(task, batch())[0]
    assert (flow[1:] < 0.1 * flow[:-1]).all()


def test_other_models_are_refused() -> None:
    task = Seq2SeqTask(Seq2Seq(PAIRS, hidden_size=4), PAIRS, torch.optim.Adam)
    with pytest.raises(ConfigError, match=r"tracking\.gradient_flow=true: expected false"):
        gradient_flow(task, batch())


def test_it_is_drawn_on_request(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    options = {"trainer__max_epochs": 1, "tracking__gradient_flow": True}
    train(tiny(**options), context=LocalContext(tmp_path), tracker=tracker)
    assert (tmp_path / "pictures" / "gradient_flow.png", "pictures") in tracker.artifacts
    axes = pictures.gradient_flow({name: {"layer 1": np.ones(5)} for name in ("before", "after")}).axes
    assert [panel.get_title() for panel in axes] == ["before", "after"]


def test_neither_yes_nor_no() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.gradient_flow=3: expected true or false"):
        tiny(tracking__gradient_flow=3)
