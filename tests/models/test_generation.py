"""Tokens drawn one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.model_cases import generator
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM, RNN
from seqsweep.models.generation import Sampling, continued
from seqsweep.spec import DataSpec

TEXT = DataSpec(name="text", kind="language_modelling", vocabulary_size=9, output_size=9, per_step=True)


def model(kind: type[Any] = LSTM, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = kind(TEXT, hidden_size=6, **options)
        torch.nn.init.normal_(made.head.weight, std=2.0)
    return made


def prompts(size: int = 4) -> tuple[Tensor, Tensor]:
    lengths = torch.arange(size) + 1
    tokens = torch.randint(1, 9, (size, size), generator=generator())
    return tokens.masked_fill(torch.arange(size) >= lengths.unsqueeze(1), 0), lengths


def said(made: Any, tokens: Tensor, lengths: Tensor | None, seed: int = 0, **options: Any) -> Tensor:
    return continued(
        made, tokens, lengths, length=12, sampling=Sampling(**options), generator=generator(seed), never=(0,)
    )


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_the_likeliest_token_of_a_whole_reading(kind: type[Any]) -> None:
    made = model(kind)
    tokens, lengths = prompts()
    answers = said(made, tokens, lengths, temperature=0)
    for row, length in enumerate(lengths.tolist()):
        text = tokens[row, :length].tolist()
        for token in answers[row].tolist():
            logits = made(torch.tensor([text]))[0, -1]
            assert token == int(logits[1:].argmax()) + 1  # 0 is never said
            text.append(token)


def test_neither_padding_nor_company_changes_an_answer() -> None:
    made = model()
    tokens, lengths = prompts()
    answers = said(made, tokens, lengths, temperature=0)
    padded = torch.nn.functional.pad(tokens, (0, 3), value=5)
    assert said(made, padded, lengths, temperature=0).equal(answers)
    order = torch.tensor([2, 0, 3, 1])
    assert said(made, tokens[order], lengths[order], temperature=0).equal(answers[order])
    assert said(made, tokens[3:], None, temperature=0).equal(answers[3:])


def test_draws_follow_the_generator_alone() -> None:
    made = model()
    first = said(made, *prompts(), seed=1)
    torch.rand(3)
    assert said(made, *prompts(), seed=1).equal(first)
    assert not said(made, *prompts(), seed=2).equal(first)
    assert int(first.min()) > 0


logits = st.lists(st.lists(st.floats(-5, 5), min_size=6, max_size=6), min_size=1, max_size=4).map(
    torch.tensor
)


@given(logits, st.integers(1, 8), st.floats(0.01, 1), st.floats(0.2, 3))
def test_what_may_be_drawn(given_logits: Tensor, top_k: int, top_p: float, temperature: float) -> None:
    full = (given_logits / temperature).softmax(dim=-1)
    found = Sampling(temperature, top_k, top_p).probabilities(given_logits)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(len(found)))
    for row, before in zip(found, full, strict=True):
        kept = row > 0
        assert 1 <= int(kept.sum()) <= top_k
        if not bool(kept.all()):
            assert before[kept].min() >= before[~kept].max()  # the likeliest
        torch.testing.assert_close(row[kept], before[kept] / before[kept].sum())  # in their proportions


@given(logits, st.floats(0.01, 0.99))
def test_the_nucleus_is_the_smallest_set_that_is_likely_enough(given_logits: Tensor, top_p: float) -> None:
    full = given_logits.softmax(dim=-1)
    for row, before in zip(Sampling(top_p=top_p).probabilities(given_logits), full, strict=True):
        kept = before[row > 0]
        assert float(kept.sum()) >= top_p - 1e-6
        assert float(kept.sum() - kept.min()) < top_p + 1e-6


@given(logits)
def test_narrow_draws_are_the_likeliest_token(given_logits: Tensor) -> None:
    best = given_logits.max(dim=-1).values
    for sampling in (Sampling(temperature=0), Sampling(top_k=1), Sampling(top_p=1e-6)):
        drawn = sampling.draw(given_logits, generator())
        assert given_logits.gather(1, drawn.unsqueeze(1)).squeeze(1).equal(best)


def test_tokens_come_as_often_as_they_should() -> None:
    row = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    drawn = Sampling(temperature=0.5, top_k=3).draw(row.expand(20_000, 4), generator())
    shares = torch.bincount(drawn, minlength=4) / 20_000
    expected = torch.tensor([4.0, 2.0, 0.0, float("-inf")]).softmax(dim=0)
    torch.testing.assert_close(shares, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature=-1: expected a number of at least 0"),
        ({"top_k": 0}, "top_k=0: expected an integer of at least 1"),
        ({"top_p": 0}, "top_p=0: expected a number above 0"),
        ({"top_p": 1.5}, "top_p=1.5: expected a number above 0 and up to 1"),
    ],
)
def test_wrong_numbers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)
