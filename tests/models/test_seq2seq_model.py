from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.model_cases import NUMBERS, PAIRS, generator, pairs
from seqsweep.errors import ConfigError
from seqsweep.models import Seq2Seq
from seqsweep.models.seq2seq import Seq2SeqMasks


def made(seed: int = 0, **options: Any) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Seq2Seq(PAIRS, **{"hidden_size": 4} | options)


OPTIONS = list(itertools.product(("gru", "lstm"), (1, 2), (False, True), (None, 3)))


@pytest.mark.parametrize(("cell", "layers", "both", "embedding"), OPTIONS)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("forcing", [0.0, 0.5, 1.0])
def test_forward_for_every_option(
    cell: str, layers: int, both: bool, embedding: int | None, dropout: float, forcing: float
) -> None:
    network = made(
        cell=cell, num_layers=layers, bidirectional=both, embedding_size=embedding, dropout=dropout
    )
    batch = pairs()
    masks = network.draw_masks(batch, generator(), teacher_forcing=forcing)
    assert (masks is None) == (dropout == 0 and forcing == 1)
    logits = network(batch.inputs, batch.lengths, batch.targets, masks)
    assert logits.shape == (*batch.targets.shape, 6)
    logits.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(("cell", "layers", "both", "embedding"), OPTIONS)
def test_step_by_step_equals_all_steps_at_once(
    cell: str, layers: int, both: bool, embedding: int | None
) -> None:
    network = made(
        cell=cell, num_layers=layers, bidirectional=both, embedding_size=embedding, dropout=0.5
    ).double()
    batch = pairs()
    drawn = network.draw_masks(batch, generator())
    assert drawn is not None
    at_once = network(batch.inputs, batch.lengths, batch.targets, drawn)
    always = drawn._replace(forced=torch.ones_like(batch.targets, dtype=torch.bool))
    torch.testing.assert_close(network(batch.inputs, batch.lengths, batch.targets, always), at_once)


def test_without_forcing_the_model_reads_its_own_tokens() -> None:
    network = made(seed=3).double()
    batch = pairs()
    never = Seq2SeqMasks(forced=torch.zeros_like(batch.targets, dtype=torch.bool))
    logits = network(batch.inputs, batch.lengths, batch.targets, never)
    others = torch.full_like(batch.targets, 5)
    torch.testing.assert_close(network(batch.inputs, batch.lengths, others, never), logits)
    generated = network.generate(batch.inputs, batch.lengths)
    chosen = logits.argmax(-1)
    for row in range(len(batch)):
        for step in range(min(generated.shape[1], chosen.shape[1])):
            assert generated[row, step] == chosen[row, step]
            if generated[row, step] == PAIRS.end_index:
                break


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_nothing_changes_when_padded_further_permuted_or_split(cell: str, both: bool) -> None:
    network = made(cell=cell, bidirectional=both, num_layers=2).double()
    batch = pairs()
    assert batch.lengths is not None
    assert batch.target_lengths is not None
    expected = network(batch.inputs, batch.lengths, batch.targets)
    generated = network.generate(batch.inputs, batch.lengths)
    wider = torch.nn.functional.pad(batch.inputs, (0, 3))
    torch.testing.assert_close(network(wider, batch.lengths, batch.targets), expected)
    assert torch.equal(network.generate(wider, batch.lengths), generated)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        network(batch.inputs[order], batch.lengths[order], batch.targets[order]), expected[order]
    )
    for row, length in enumerate(batch.lengths.tolist()):
        alone = network(batch.inputs[row : row + 1, :length], None, batch.targets[row : row + 1])
        torch.testing.assert_close(alone, expected[row : row + 1])
        own = network.generate(batch.inputs[row : row + 1, :length], None)
        torch.testing.assert_close(own[0], generated[row, : own.shape[1]])


def favour(network: Seq2Seq, token: int) -> None:
    """Make every step's most likely token `token`."""
    with torch.no_grad():
        network.decoder.output.bias.zero_()
        network.decoder.output.weight.zero_()
        network.decoder.output.bias[token] = 1


def test_generation_stops_when_all_have_ended() -> None:
    network, batch = made(), pairs()
    favour(network, 2)
    assert network.generate(batch.inputs, batch.lengths).tolist() == [[2]] * len(batch)


def test_generation_stops_at_the_longest_target() -> None:
    network, batch = made(), pairs()
    favour(network, 4)
    assert network.generate(batch.inputs, batch.lengths).shape == (len(batch), 9)
    assert network.generate(batch.inputs, batch.lengths, max_length=3).tolist() == [[4] * 3] * len(batch)


def test_what_follows_the_end_is_padding() -> None:
    ended: list[Tensor] = []
    for seed in range(20):
        network = made(seed)
        with torch.no_grad():
            network.decoder.output.weight.mul_(50)  # so that tokens change from step to step
        tokens = network.generate(*_sources(seed))
        after = ((tokens == 2).cumsum(1) - (tokens == 2).long()) > 0
        assert (tokens[after] == 0).all()
        ended.append(after)
    assert any(after.any() for after in ended)


def _sources(seed: int) -> tuple[Tensor, Tensor | None]:
    batch = pairs(seed=seed)
    return batch.inputs, batch.lengths


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size=0: expected an integer of at least 1"),
        ({"cell": "rnn"}, "cell=rnn: expected one of gru, lstm"),
        ({"attention": "aditive"}, "attention=aditive: expected one of additive; did you mean 'additive'?"),
        ({"dropout": -0.1}, "dropout=-0.1: expected a number from 0 up to, not including, 1"),
        ({"embedding_size": -1}, "embedding_size=-1: expected an integer of at least 1"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Seq2Seq(PAIRS, **options)
    assert str(caught.value).startswith(message)


def test_data_without_token_targets_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="expected data whose targets are sequences of tokens, and those of 'numbers'"
    ):
        Seq2Seq(NUMBERS)


def test_generation_needs_a_bound() -> None:
    network = Seq2Seq(replace(PAIRS, target_max_length=None), hidden_size=4)
    batch = pairs()
    with pytest.raises(ConfigError, match="max_length=None: expected a number, since 'pairs' sets no bound"):
        network.generate(batch.inputs, batch.lengths)
    assert network.generate(batch.inputs, batch.lengths, max_length=2).shape[1] <= 2
