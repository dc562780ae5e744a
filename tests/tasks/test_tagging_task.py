"""A class a step: the loss, its laws, and what is measured, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.optim import Adam

from models.model_cases import generator
from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM
from seqsweep.spec import DataSpec
from seqsweep.tasks import Tagging
from seqsweep.tasks.spans import matches

POS = DataSpec(
    name="pos", vocabulary_size=9, output_size=3, per_step=True, class_names=("ADJ", "NOUN", "VERB")
)
NER = replace(POS, name="ner", class_names=("B-X", "I-X", "O"))
SPELT = replace(POS, name="spelt", character_vocabulary_size=5)


def task(spec: DataSpec = POS, **options: Any) -> Tagging:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Tagging(LSTM(spec, **{"hidden_size": 4, "bidirectional": True} | options), spec, Adam)


def batch(lengths: list[int], time: int | None = None, seed: int = 0, characters: int = 0) -> Batch:
    """Words and tags of which the first do not depend on how far they are padded."""
    time = time or max(lengths)
    random = generator(seed)
    shape = (len(lengths), 40, 1 + characters) if characters else (len(lengths), 40)
    inputs = torch.randint(1, 5 if characters else 9, shape, generator=random)[:, :time].clone()
    targets = torch.randint(0, 3, (len(lengths), 40), generator=random)[:, :time].clone()
    for row, length in enumerate(lengths):
        inputs[row, length:] = 0
        targets[row, length:] = 0
    return Batch(inputs, targets, torch.tensor(lengths), torch.tensor(lengths))


def rows(whole: Batch, index: list[int], time: int | None = None) -> Batch:
    assert whole.lengths is not None
    lengths = whole.lengths[index]
    return Batch(whole.inputs[index, :time], whole.targets[index, :time], lengths, lengths)


def loss(made: Tagging, of: Batch) -> torch.Tensor:
    return made.loss(*made.tensors(), of, None, None)[0]


def test_loss_by_hand_and_pure() -> None:
    made = task(dropout=0.5)
    made.generator = generator(3)
    some = batch([4, 2])
    masks = made.draw_masks(some)
    first, state, logits = made.loss(*made.tensors(), some, None, masks)
    again, _, _ = made.loss(*made.tensors(), some, None, masks)
    assert torch.equal(first, again)
    assert state is None
    assert logits.shape == (2, 4, 3)
    true = torch.cat([logits[0], logits[1, :2]])
    torch.testing.assert_close(
        first, F.cross_entropy(true, torch.cat([some.targets[0], some.targets[1, :2]]))
    )


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 5), st.sampled_from([0, 2]))
def test_padding_further_changes_nothing(lengths: list[int], more: int, padding: int) -> None:
    made = task()
    longer = batch(lengths, time=max(lengths) + more)
    longer.targets[~longer.target_mask] = padding
    torch.testing.assert_close(loss(made, batch(lengths)), loss(made, longer))


@settings(max_examples=40, deadline=None)
@given(st.data(), sizes)
def test_permuting_changes_nothing(data: st.DataObject, lengths: list[int]) -> None:
    made, whole = task(), batch(lengths)
    order = data.draw(st.permutations(range(len(lengths))))
    torch.testing.assert_close(loss(made, whole), loss(made, rows(whole, list(order))))


@settings(max_examples=40, deadline=None)
@given(st.data(), sizes.filter(lambda lengths: len(lengths) > 1))
def test_splitting_changes_nothing(data: st.DataObject, lengths: list[int]) -> None:
    made, whole = task(), batch(lengths)
    at = data.draw(st.integers(1, len(lengths) - 1))
    parts = [list(range(at)), list(range(at, len(lengths)))]
    total = sum(
        loss(made, rows(whole, part, max(lengths[row] for row in part))) * sum(lengths[row] for row in part)
        for part in parts
    )
    torch.testing.assert_close(loss(made, whole), total / sum(lengths))


@pytest.mark.parametrize("spec", [POS, NER])
def test_measures_by_hand(spec: DataSpec) -> None:
    made = task(spec)
    measures = made.make_measures()
    whole = batch([5, 3, 4])
    for part in ([0, 1], [2]):
        made.measure(measures, rows(whole, part))
    _, _, logits = made.loss(*made.tensors(), whole, None, None)
    right = (logits.argmax(-1) == whole.targets)[whole.mask]
    assert measures["loss"].compute().item() == pytest.approx(loss(made, whole).item())
    assert measures["token_accuracy"].compute().item() == pytest.approx(right.float().mean().item())
    assert int(measures["confusion"].compute().sum()) == 12
    assert {f"val/{name}" for name in measures} - {"val/confusion"} == set(made.metrics)
    assert made.monitor == (("val/span_f1" if spec is NER else "val/token_accuracy"), "maximize")
    if spec is NER:
        assert made.spans is not None
        tags = (logits.argmax(-1), whole.targets)
        right, guessed, true = matches(*(made.spans.read(row, whole.mask) for row in tags)).tolist()
        assert measures["span_precision"].compute().item() == pytest.approx(right / max(guessed, 1))
        assert measures["span_recall"].compute().item() == pytest.approx(right / true)
        assert measures["span_f1"].compute().item() == pytest.approx(2 * right / (guessed + true))


def test_predictions_are_a_tag_a_true_step() -> None:
    made, some = task(), batch([4, 1, 2])
    predicted = made.predictions(replace(some, targets=torch.zeros_like(some.targets)))
    assert [len(row) for row in predicted] == [4, 1, 2]
    assert predicted[0] == made.model(some.inputs, some.lengths)[0].argmax(-1).tolist()
    full = Batch(some.inputs[:1], some.targets[:1])
    assert made.predictions(full) == predicted[:1]


def test_the_picture_names_the_tags() -> None:
    made = task()
    made.tested = {"confusion": torch.eye(3, dtype=torch.int64)}
    axes = made.pictures()["confusion"].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ADJ", "NOUN", "VERB"]


def test_words_with_their_spelling() -> None:
    made = task(SPELT, spelling_size=6)
    some = batch([3, 2], characters=4)
    assert loss(made, some).isfinite()
    torch.testing.assert_close(loss(made, some), loss(made, batch([3, 2], time=5, characters=4)))


def test_data_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected task=classification"):
        Tagging(GRU(POS, hidden_size=4), replace(POS, kind="classification"), Adam)


def test_weights_and_smoothing_act_in_training_only() -> None:
    weights = [1.0, 2.0, 5.0]
    made = Tagging(task().model, POS, Adam, class_weights=weights, label_smoothing=0.1)  # type: ignore[arg-type]
    of = batch([3, 1])
    logits = made.model(of.inputs, of.lengths)
    each = F.cross_entropy(
        logits[of.mask],
        of.targets[of.mask],
        weight=torch.tensor(weights),
        label_smoothing=0.1,
        reduction="none",
    )
    torch.testing.assert_close(loss(made, of), each.mean())
    measures = made.make_measures()
    made.measure(measures, of)
    plain = F.cross_entropy(logits[of.mask], of.targets[of.mask])
    torch.testing.assert_close(measures["loss"].compute(), plain)
