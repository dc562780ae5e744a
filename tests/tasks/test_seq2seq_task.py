from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.optim import Adam

from models.model_cases import PAIRS, TOKENS, generator, pairs
from seqsweep.errors import ConfigError
from seqsweep.models import GRU
from seqsweep.models import Seq2Seq as Model
from seqsweep.tasks import Seq2Seq
from seqsweep.tasks.seq2seq import exact_match


def task(model: dict[str, Any] | None = None, **options: Any) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Seq2Seq(Model(PAIRS, **{"hidden_size": 4} | (model or {})), PAIRS, Adam, **options)


def test_loss_is_the_mean_over_true_tokens() -> None:
    made, batch = task(), pairs()
    loss, _, logits = made.loss(*made.tensors(), batch, None, None)
    mask = batch.target_mask
    torch.testing.assert_close(loss, F.cross_entropy(logits[mask], batch.targets[mask]))


@pytest.mark.parametrize("teacher_forcing", [1.0, 0.5])
def test_a_step_is_a_function_of_the_generator(teacher_forcing: float) -> None:
    made = task({"dropout": 0.5}, teacher_forcing=teacher_forcing)
    losses = []
    for _ in range(2):
        made.generator = generator(7)
        losses.append([made.training_step(pairs(), 0).item() for _ in range(2)])
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_teacher_forcing_draws_with_its_probability() -> None:
    made = task(teacher_forcing=0.25)
    made.generator = generator()
    forced = torch.cat([made.draw_masks(pairs(50)).forced.flatten() for _ in range(20)])
    assert forced.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert task().draw_masks(pairs()) is None


def test_exact_match_over_unequal_widths() -> None:
    targets = torch.tensor([[3, 4, 2, 0], [3, 2, 0, 0], [3, 3, 3, 2]])
    assert exact_match(targets[:, :3], targets, 0).tolist() == [True, True, False]
    longer = torch.tensor([[3, 4, 2, 0, 0], [3, 2, 0, 0, 5], [3, 3, 3, 2, 0]])
    assert exact_match(longer, targets, 0).tolist() == [True, False, True]


def test_measures_by_hand() -> None:
    made, measures = task(), task().make_measures()
    batches = [pairs(4, seed=0), pairs(3, seed=1)]
    for batch in batches:
        made.measure(measures, batch)
    losses, right, exact, tokens = 0.0, 0, 0, 0
    for batch in batches:
        _, _, logits = made.loss(*made.tensors(), batch, None, None)
        generated = made.model.generate(batch.inputs, batch.lengths)
        assert batch.target_lengths is not None
        for row, length in enumerate(batch.target_lengths.tolist()):
            truth = batch.targets[row, :length]
            losses += F.cross_entropy(logits[row, :length], truth, reduction="sum").item()
            right += int((logits[row, :length].argmax(-1) == truth).sum())
            exact += generated[row].tolist()[:length] == truth.tolist()
            tokens += length
    assert measures["loss"].compute().item() == pytest.approx(losses / tokens, rel=1e-5)
    assert measures["token_accuracy"].compute().item() == pytest.approx(right / tokens)
    assert measures["exact_match"].compute().item() == pytest.approx(exact / 7)
    assert {f"val/{name}" for name in measures} == set(Seq2Seq.metrics)
    assert Seq2Seq.monitor[0] in Seq2Seq.metrics


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected model=seq2seq.*not GRU"):
        Seq2Seq(GRU(TOKENS, hidden_size=4), PAIRS, Adam)


@pytest.mark.parametrize("value", [-0.1, 1.1, "a", True])
def test_bad_teacher_forcing(value: object) -> None:
    with pytest.raises(ConfigError, match=f"teacher_forcing={value}: expected a number from 0 to 1"):
        task(teacher_forcing=value)


def test_samples_are_what_was_read_answered_and_true() -> None:
    made, batch = task(), pairs(3)
    assert made.samples() == []
    with torch.no_grad():
        made.test_step(batch, 0)
    samples = made.samples()
    assert [list(sample) for sample in samples] == [["input", "answer", "true"]] * 3
    assert batch.target_lengths is not None
    for row, (sample, length) in enumerate(zip(samples, batch.target_lengths.tolist(), strict=True)):
        assert sample["true"].split() == [str(token) for token in batch.targets[row, : length - 1].tolist()]
    answers = made.predictions(batch)
    assert [sample["answer"].split() for sample in samples] == [[*map(str, answer)] for answer in answers]
