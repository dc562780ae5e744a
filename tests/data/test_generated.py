"""The problems that are drawn here: adding and copying memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from seqsweep.data import Adding, CopyMemory
from seqsweep.errors import ConfigError

SMALL: dict[str, Any] = {"train_size": 300, "validation_size": 20, "test_size": 50}
KINDS = (Adding, CopyMemory)


def test_two_numbers_are_marked_one_in_each_half_and_the_target_is_their_sum() -> None:
    data = Adding(length=21, **SMALL)
    for part in (data.splits.train, data.splits.val, data.splits.test):
        batch = part.cut(torch.arange(len(part)))
        numbers, markers = batch.inputs.unbind(-1)
        assert ((markers == 0) | (markers == 1)).all()
        assert (markers[:, :10].sum(1) == 1).all()
        assert (markers[:, 10:].sum(1) == 1).all()
        assert ((numbers >= 0) & (numbers < 1)).all()
        torch.testing.assert_close(batch.targets, (numbers * markers).sum(1, keepdim=True))


def test_the_adding_problems_constant_has_an_error_of_a_sixth() -> None:
    data = Adding(length=4, train_size=1, validation_size=1, test_size=20_000)
    targets = data.splits.test.targets
    assert isinstance(targets, torch.Tensor)
    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.005)
    assert (data.spec.kind, data.spec.input_size, data.spec.output_size) == ("regression", 2, 1)


def test_more_training_examples_change_neither_the_first_ones_nor_the_test() -> None:
    few, many = Adding(length=10, **SMALL).splits, Adding(length=10, **(SMALL | {"train_size": 400})).splits
    assert torch.equal(few.test.inputs, many.test.inputs)  # type: ignore[arg-type]
    assert torch.equal(few.train.inputs, many.train.inputs[:300])  # type: ignore[arg-type]


def test_symbols_are_asked_for_after_the_delay() -> None:
    data = CopyMemory(delay=7, length=3, symbols=4, **SMALL)
    batch = data.splits.train.cut(torch.arange(300))
    assert batch.inputs.shape == batch.targets.shape == (300, 13)
    symbols = batch.inputs[:, :3] - 2  # numbered from 1, as classes
    assert set(symbols.flatten().tolist()) == {1, 2, 3, 4}
    assert batch.inputs[0, 3:].tolist() == [1] * 6 + [2] + [1] * 3
    assert (batch.targets[:, :10] == 0).all()
    assert torch.equal(batch.targets[:, 10:], symbols)


def test_what_the_models_learn_of_copying() -> None:
    spec = CopyMemory(**SMALL).spec
    assert (spec.kind, spec.per_step, spec.max_length) == ("tagging", True, 120)
    assert (spec.vocabulary_size, spec.output_size, len(spec.class_names)) == (11, 9, 9)
    assert sum(spec.class_counts) == 300 * 120
    assert spec.class_counts[0] == 300 * 110
    assert 10 * math.log(8) / 120 == pytest.approx(0.173, abs=5e-4)  # what the docstring says


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_of_the_split_alone_decides(kind: Any) -> None:
    def rows(**options: Any) -> np.ndarray:
        return np.asarray(kind(**SMALL, **options).splits.test.inputs)

    assert np.array_equal(rows(seed=1), rows(seed=2))
    assert not np.array_equal(rows(), rows(split_seed=1))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Adding, {"length": 1}, "length=1: expected an integer of at least 2"),
        (Adding, {"train_size": 0}, "train_size=0: expected"),
        (Adding, {"split_seed": -1}, "split_seed=-1: expected"),
        (CopyMemory, {"symbols": 1}, "symbols=1: expected an integer of at least 2"),
        (CopyMemory, {"symbols": 201}, "symbols=201: expected at most 200"),
        (CopyMemory, {"delay": 0}, "delay=0: expected"),
        (CopyMemory, {"test_size": 2.5}, "test_size=2.5: expected"),
    ],
)
def test_wrong_options_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**options)
