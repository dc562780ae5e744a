from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.model_cases import generator
from seqsweep.models.attention import ATTENTIONS, AdditiveAttention, Attention

FORMS = [name for name in ATTENTIONS if name != "none"]


def made(name: str) -> Attention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ATTENTIONS[name](5, 5, 4).double()


def inputs(size: int, targets: int, sources: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = generator()
    queries = torch.randn(size, targets, 5, generator=random, dtype=torch.float64)
    return queries, torch.randn(size, sources, 5, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("name", FORMS)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), targets=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_weights_sum_to_one_over_true_positions(name: str, lengths: list[int], targets: int) -> None:
    attention = made(name)
    queries, memory = inputs(len(lengths), targets, max(lengths))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    contexts, weights = attention(queries, attention.keys(memory), memory, mask)
    assert contexts.shape == (len(lengths), targets, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert (weights >= 0).all()
    assert (weights.masked_select(~mask.unsqueeze(1)) == 0).all()
    for row, length in enumerate(lengths):
        alone = memory[row : row + 1, :length]
        expected, _ = attention(queries[row : row + 1], attention.keys(alone), alone, None)
        torch.testing.assert_close(contexts[row : row + 1], expected)


def test_additive_scores_by_hand() -> None:
    attention = made("additive")
    assert isinstance(attention, AdditiveAttention)
    queries, memory = inputs(2, 2, 3)
    scores = attention.scores(queries, attention.keys(memory))
    assert scores.shape == (2, 2, 3)
    expected = attention.score(torch.tanh(attention.query(queries[1, 0]) + attention.key(memory[1, 2])))
    torch.testing.assert_close(scores[1, 0, 2], expected.squeeze())


def test_luongs_scores_by_hand() -> None:
    queries, memory = inputs(2, 2, 3)
    q, k = queries[1, 0], memory[1, 2]
    general, concat = made("general"), made("concat")
    expected = {
        "dot": q @ k,
        "general": q @ general.get_parameter("key.weight") @ k,
        "concat": concat.get_parameter("score.weight")[0]
        @ torch.tanh(
            torch.cat([concat.get_parameter("query.weight"), concat.get_parameter("key.weight")], dim=1)
            @ torch.cat([q, k])
        ),
    }
    for name, score in expected.items():
        attention = made(name)
        torch.testing.assert_close(attention.scores(queries, attention.keys(memory))[1, 0, 2], score)


def test_without_attention_there_is_no_context() -> None:
    attention = made("none")
    queries, memory = inputs(2, 2, 3)
    contexts, weights = attention(queries, attention.keys(memory), memory, None)
    assert contexts.shape == weights.shape == (2, 2, 0)
    assert attention.context_size == 0
    assert list(attention.parameters()) == []


@pytest.mark.parametrize("name", FORMS)
def test_gradcheck(name: str) -> None:
    attention = made(name)
    queries, memory = inputs(2, 2, 3)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    assert torch.autograd.gradcheck(
        lambda q, m: attention(q, attention.keys(m), m, mask)[0],
        (queries.requires_grad_(), memory.requires_grad_()),
    )
