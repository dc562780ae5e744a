from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.model_cases import generator
from seqsweep.models.pooling import POOLINGS, Attentive, Pooling

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def made(name: str) -> Pooling:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return POOLINGS[name](3, 2).double()


def outputs(lengths: list[int]) -> Tensor:
    return torch.randn(len(lengths), max(lengths), 6, generator=generator(), dtype=torch.float64)


@pytest.mark.parametrize("name", POOLINGS)
@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS)
def test_padding_has_no_part_in_it(name: str, lengths: list[int]) -> None:
    pool, steps = made(name), outputs(lengths)
    pooled = pool(steps, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(pooled[row], pool(steps[row : row + 1, :length], None)[0])


@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS)
def test_attention_sums_to_one_over_true_positions(lengths: list[int]) -> None:
    pool, steps = made("attention"), outputs(lengths)
    assert isinstance(pool, Attentive)
    weights = pool.weights(steps, torch.tensor(lengths))
    true = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(lengths), dtype=torch.float64))
    assert (weights[~true] == 0).all()
    assert (weights[true] > 0).all()


def test_by_hand() -> None:
    steps, lengths = outputs([4, 2]), torch.tensor([4, 2])
    torch.testing.assert_close(made("mean")(steps, lengths)[1], steps[1, :2].mean(0))
    torch.testing.assert_close(made("max")(steps, lengths)[1], steps[1, :2].amax(0))
    last = made("last")(steps, lengths)[1]
    torch.testing.assert_close(last, torch.cat([steps[1, 1, :3], steps[1, 0, 3:]]))
    pool = made("attention")
    assert isinstance(pool, Attentive)
    scores = torch.stack([pool.score(torch.tanh(pool.key(step))) for step in steps[1, :2]]).squeeze(1)
    expected = (scores.softmax(0).unsqueeze(1) * steps[1, :2]).sum(0)
    torch.testing.assert_close(pool(steps, lengths)[1], expected)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradcheck(name: str) -> None:
    pool, lengths = made(name), torch.tensor([3, 1])
    assert torch.autograd.gradcheck(lambda steps: pool(steps, lengths), outputs([3, 1]).requires_grad_())
