from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from models.model_cases import NUMBERS, TOKENS, generator, numbers, tokens
from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM, RNN, RecurrentModel
from seqsweep.spec import DataSpec

MODELS: list[Any] = [RNN, LSTM, GRU]


def made(model: Any, spec: DataSpec = NUMBERS, **options: Any) -> RecurrentModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = model(spec, **{"hidden_size": 4} | options)
    assert isinstance(built, RecurrentModel)
    return built


@pytest.mark.parametrize(
    ("model", "layers", "both", "dropout", "spec", "padded"),
    list(itertools.product(MODELS, (1, 2), (False, True), (0.0, 0.5), (NUMBERS, TOKENS), (False, True))),
)
def test_forward_for_every_option(
    model: Any, layers: int, both: bool, dropout: float, spec: DataSpec, padded: bool
) -> None:
    network = made(model, spec, num_layers=layers, bidirectional=both, dropout=dropout)
    inputs = numbers() if spec is NUMBERS else tokens()
    lengths = torch.tensor([6, 1, 3, 6, 2]) if padded else None
    batch = Batch(inputs, torch.zeros(5, dtype=torch.int64), lengths)
    masks = network.draw_masks(batch, generator())
    assert (masks is None) == (dropout == 0)
    logits = network(inputs, lengths, masks)
    assert logits.shape == (5, 4)
    logits.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    steps = made(model, replace(spec, per_step=True), num_layers=layers, bidirectional=both, dropout=dropout)
    assert steps(inputs, lengths, steps.draw_masks(batch, generator())).shape == (5, 6, 4)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_nonlinearity_reaches_the_kernel(nonlinearity: str) -> None:
    network = made(RNN, nonlinearity=nonlinearity)
    plain = nn.RNN(3, 4, batch_first=True, nonlinearity=nonlinearity)
    plain.load_state_dict(network.recurrent.state_dict())
    torch.testing.assert_close(network(numbers()), network.head(plain(numbers())[0][:, -1]))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    more=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_nothing_changes_when_padded_further_permuted_or_split(
    model: Any, both: bool, lengths: list[int], more: int, seed: int
) -> None:
    network = made(model, num_layers=2, bidirectional=both).double()
    true = torch.tensor(lengths)
    inputs = numbers(len(lengths), max(lengths), seed).double()
    expected = network(inputs, true)
    noise = torch.full((len(lengths), more, 3), 7.0, dtype=torch.float64)
    torch.testing.assert_close(network(torch.cat([inputs, noise], dim=1), true), expected)
    order = torch.randperm(len(lengths), generator=generator(seed))
    torch.testing.assert_close(network(inputs[order], true[order]), expected[order])
    one_by_one = [network(row[:length].unsqueeze(0)) for row, length in zip(inputs, lengths, strict=True)]
    torch.testing.assert_close(torch.cat(one_by_one), expected)


@pytest.mark.parametrize(("model", "plain"), [(RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_state_dict_loads_into_the_plain_module(model: Any, plain: Any) -> None:
    network = made(model, num_layers=2, bidirectional=True, dropout=0.3)
    other = plain(3, 4, 2, bidirectional=True, batch_first=True)
    prefix = "recurrent."
    part = {key.removeprefix(prefix): value for key, value in network.state_dict().items() if prefix in key}
    other.load_state_dict(part)
    torch.testing.assert_close(other(numbers())[0], network.recurrent(numbers())[0])


def test_masks_follow_from_the_generator_alone() -> None:
    network = made(GRU, num_layers=3, dropout=0.25, bidirectional=True)
    batch = Batch(numbers(), torch.zeros(5))
    first, again = (network.draw_masks(batch, generator(1)) for _ in range(2))
    other = network.draw_masks(batch, generator(2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert [tuple(mask.shape) for mask in first.dropout] == [(5, 6, 8), (5, 6, 8), (5, 8)]
    assert all(torch.equal(a, b) for a, b in zip(first.dropout, again.dropout, strict=True))
    assert not torch.equal(first.dropout[0], other.dropout[0])
    assert first.dropout[0].unique().tolist() == [0.0, pytest.approx(4 / 3)]
    before = torch.get_rng_state()
    network(batch.inputs, None, first)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_acts_with_one_layer_too() -> None:
    network = made(GRU, dropout=0.5)
    masks = network.draw_masks(Batch(numbers(), torch.zeros(5)), generator())
    assert masks is not None
    torch.testing.assert_close(
        network(numbers(), None, masks),
        network.head(network.recurrent(numbers())[0][:, -1] * masks.dropout[0]),
    )


@pytest.mark.parametrize("model", MODELS)
def test_forward_is_a_function_of_its_parameters(model: Any) -> None:
    network = made(model, num_layers=2, bidirectional=True, dropout=0.5)
    masks = network.draw_masks(Batch(numbers(), torch.zeros(5)), generator())
    doubled = {name: value.detach() * 2 for name, value in network.named_parameters()}
    called = functional_call(network, doubled, (numbers(), torch.tensor([6, 2, 3, 4, 5]), masks))
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(2)
    torch.testing.assert_close(called, network(numbers(), torch.tensor([6, 2, 3, 4, 5]), masks))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0: expected an integer of at least 1"),
        ({"hidden_size": 2.5}, "hidden_size=2.5: expected an integer of at least 1"),
        ({"num_layers": 0}, "num_layers=0: expected an integer of at least 1"),
        ({"dropout": 1.0}, "dropout=1.0: expected a number from 0 up to, not including, 1"),
        ({"dropout": "a"}, "dropout=a: expected a number from 0 up to, not including, 1"),
        ({"bidirectional": "yes"}, "bidirectional=yes: expected true or false"),
        ({"embedding_size": 5}, "embedding_size=5: expected null: the steps of 'numbers' are numbers"),
        ({"embedding_std": 0.1}, "embedding_std=0.1: expected 1: the steps of 'numbers' are numbers"),
        ({"nonlinearity": "thanh"}, "nonlinearity=thanh: expected one of tanh, relu; did you mean 'tanh'?"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RNN(NUMBERS, **options)
    assert str(caught.value) == message


def test_embedding_size() -> None:
    assert made(LSTM, TOKENS).recurrent.input_size == 4
    assert made(LSTM, TOKENS, embedding_size=6).recurrent.input_size == 6
    with pytest.raises(ConfigError, match="embedding_size=0: expected an integer of at least 1"):
        LSTM(TOKENS, embedding_size=0)


def test_embedding_std_scales_what_is_drawn() -> None:
    plain, scaled = made(LSTM, TOKENS), made(LSTM, TOKENS, embedding_std=0.1)
    torch.testing.assert_close(scaled.inputs.weight, 0.1 * plain.inputs.weight)
    assert torch.equal(scaled.recurrent.weight_hh_l0, plain.recurrent.weight_hh_l0)
    with pytest.raises(ConfigError, match="embedding_std=0: expected a number above 0"):
        LSTM(TOKENS, embedding_std=0)
