"""A member of a stack is trained as it would be alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from seqsweep.stacking import stack
from seqsweep.stacking.jobs import template
from seqsweep.stacking.member import Member
from seqsweep.stacking.parameters import Table
from seqsweep.stacking.stack import TrialStack
from seqsweep.training import build, seeding
from stacking.sets import contexts, member, small

STEPS = 50
TOLERANCE = 1e-9

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        {"lr": 0.2, "momentum": 0.5, "dampening": 0.3, "weight_decay": 0.01},
    ],
    "Adam": [
        {"lr": 0.01},
        {"lr": 0.003, "weight_decay": 0.1},
        {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-4},
    ],
    "AdamW": [{"lr": 0.01}, {"lr": 0.003, "weight_decay": 0.1}, {"lr": 0.02, "betas": [0.8, 0.95]}],
    "RMSprop": [
        {"lr": 0.01},
        {"lr": 0.003, "alpha": 0.9, "momentum": 0.5},
        {"lr": 0.02, "weight_decay": 0.1},
    ],
}
CLIPS = [1.0, None, 0.1]

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"model__dropout": 0.3, "model__num_layers": 2},
    "recurrent dropout": {"model__recurrent_dropout": 0.4, "model__dropout": 0.2},
    "bidirectional": {"model__bidirectional": True, "model__num_layers": 2},
    "residual": {"model__num_layers": 3, "model__residual": True},
    "layer norm": {"model__layer_norm": True},
    "mean": {"model__pooling": "mean"},
    "max": {"model__pooling": "max"},
    "attention": {"model__pooling": "attention"},
    "orthogonal": {"model__recurrent_init": "orthogonal"},
}
OWN: dict[str, list[dict[str, Any]]] = {
    "GRU": [{"model__reset_after": False}],
    "LSTM": [{"model__projection_size": 2}, {"model__forget_bias": 1.0}],
    "RNN": [{"model__nonlinearity": "relu"}],
}
CASES = [
    *((model, "numbers", "Adam", options) for model in OWN for options in OPTIONS.values()),
    *((model, "numbers", "Adam", options) for model, own in OWN.items() for options in own),
    *((model, kind, "Adam", {}) for model in OWN for kind in ("tokens", "regression", "music", "story")),
    *(("GRU", "numbers", name, {}) for name in OPTIMIZERS),
    ("GRU", "tokens", "SGD", {"model__embedding_dropout": 0.3, "model__dropout": 0.2}),
    ("LSTM", "story", "Adam", {"model__dropout": 0.2, "model__tied_embeddings": True}),
    ("LSTM", "story", "Adam", {"task__carry_state": False}),
    ("GRU", "regression", "AdamW", {"task__loss": "huber"}),
    ("RNN", "numbers", "RMSprop", {"task__class_weights": [1.0, 3.0], "task__label_smoothing": 0.1}),
]


def trials(
    kind: str, folder: Path, model: str, optimizer: str, options: dict[str, Any]
) -> list[dict[str, Any]]:
    """Three that differ in whatever members may."""
    made = []
    for number, settings in enumerate(OPTIMIZERS[optimizer]):
        given = {"_target_": f"torch.optim.{optimizer}", "_partial_": True, **settings}
        changes = {"optimizer": given, "trainer__gradient_clip_val": CLIPS[number], **options}
        if number == 1 and "model__dropout" in options:
            changes["model__dropout"] = 0.0  # beside some that drop
        made.append(small(kind, folder, seed=number, model=model, trainer__max_epochs=99, **changes))
    return made


def doubled(made: Member) -> Member:
    """In float64, where what differs but in rounding is told from what does not."""
    for parameter in made.parameters:
        parameter.data = parameter.data.double()
    made.task.double()
    return made


def alone(configuration: dict[str, Any]) -> tuple[list[Tensor], list[float]]:
    """Parameters after STEPS steps, and the losses, by PyTorch's own means."""
    built = build(configuration)
    task = built.task.double()
    task.generator = seeding.generator(built.seed, "masks")
    optimizer = task.optimizer_factory(task.model.parameters())
    loader, losses = built.data.train_dataloader(), []
    clip = configuration["trainer"]["gradient_clip_val"]
    for epoch in range(STEPS):
        loader.set_epoch(epoch)
        task.carried = None
        for place, batch in enumerate(loader):
            inputs, targets = (
                column.double() if column.is_floating_point() else column
                for column in (batch.inputs, batch.targets)
            )
            loss = task.training_step(replace(batch, inputs=inputs, targets=targets), place)
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                clip_grad_norm_(task.model.parameters(), clip)
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == STEPS:
                return [parameter.detach() for parameter in task.model.parameters()], losses
    raise AssertionError("an epoch has a step at least")


@pytest.mark.parametrize(("kind", "block"), [("numbers", 2), ("story", 1)])
def test_large_trials_are_differentiated_some_at_a_time(
    kind: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_block", lambda *_: block)
    test_in_float64_a_member_is_trained_as_it_is_alone("GRU", kind, "Adam", {"model__dropout": 0.2}, tmp_path)


def test_a_stack_is_cut_into_blocks_where_it_would_not_fit_into_a_cache(tmp_path: Path) -> None:
    for size, expected in ((5, [[0, 1, 2]]), (300, [[0], [1], [2]])):
        configs = trials("numbers", tmp_path, "GRU", "Adam", {"model__hidden_size": size})
        members = [member(*pair) for pair in zip(configs, contexts(tmp_path / str(size), 3), strict=True)]
        table = TrialStack(members, template(configs, torch.device("cpu"))).table
        assert table.blocks == expected
        for one in members:
            one.tracker.close()


def test_rows_of_like_lengths_are_differentiated_together() -> None:
    torch.manual_seed(0)
    tables = [Table([torch.nn.Linear(3, 2) for _ in range(5)], block=2) for _ in range(2)]
    tables[1].values.copy_(tables[0].values)
    seen: list[list[int]] = []

    def losses(rows: Sequence[int], parameters: dict[str, Tensor]) -> Tensor:
        seen.append(list(rows))
        return torch.tensor([row + 1.0 for row in rows]) * parameters["weight"].pow(2).sum((1, 2))

    found = [tables[0].differentiate(losses), tables[1].differentiate(losses, lengths=[9, 1, 8, 2, 7])]
    assert seen == [[0], [1, 2], [3, 4], [1], [3, 4], [2, 0]]
    assert torch.equal(*found)
    assert torch.equal(tables[0].gradients, tables[1].gradients)
    assert tables[0].gradients.count_nonzero() == 5 * 6


@pytest.mark.parametrize(("model", "kind", "optimizer", "options"), CASES)
def test_in_float64_a_member_is_trained_as_it_is_alone(
    model: str, kind: str, optimizer: str, options: dict[str, Any], tmp_path: Path
) -> None:
    configs = trials(kind, tmp_path, model, optimizer, options)
    members = [doubled(member(*pair)) for pair in zip(configs, contexts(tmp_path, 3), strict=True)]
    together = TrialStack(members, template(configs, torch.device("cpu")).double())
    found: list[list[float]] = [[] for _ in members]
    for _ in range(STEPS):
        together.step()
        for one, losses in zip(members, found, strict=True):
            losses.append(float(one.measured[-1][0]))
            if one.epoch_over:
                one.next_epoch()
    for configuration, one, losses in zip(configs, members, found, strict=True):
        expected, expected_losses = alone(configuration)
        for mine, theirs in zip(one.parameters, expected, strict=True):
            torch.testing.assert_close(mine.detach(), theirs, atol=TOLERANCE, rtol=0)
        assert losses == pytest.approx(expected_losses, abs=TOLERANCE, rel=0)
        one.tracker.close()
