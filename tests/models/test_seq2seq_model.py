from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from models.model_cases import NUMBERS, PAIRS, generator, pairs
from seqsweep.errors import ConfigError
from seqsweep.models import Seq2Seq
from seqsweep.models.beam import Markers, beam_search, length_penalty
from seqsweep.models.decoder import DecoderState
from seqsweep.models.seq2seq import Seq2SeqMasks


def made(seed: int = 0, **options: Any) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Seq2Seq(PAIRS, **{"hidden_size": 4} | options)


OPTIONS = list(itertools.product(("gru", "lstm"), (1, 2), (False, True), (None, 3)))
BESIDE: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"attention": "none", "bidirectional": True},
    {"attention": "dot", "num_layers": 2},
    {"attention": "general", "bidirectional": True, "num_layers": 2},
    {"attention": "concat", "bidirectional": True},
    {"attention": "dot", "input_feeding": True, "cell": "rnn"},
    {"attention": "additive", "input_feeding": True, "num_layers": 2, "embedding_size": 3},
    {"attention": "general", "input_feeding": True, "bidirectional": True, "cell": "gru"},
]


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


@pytest.mark.parametrize("options", BESIDE)
@pytest.mark.parametrize("forcing", [0.5, 1.0])
def test_forward_for_other_cells_and_attentions(options: dict[str, Any], forcing: float) -> None:
    network, batch = made(dropout=0.5, **options), pairs()
    masks = network.draw_masks(batch, generator(), teacher_forcing=forcing)
    logits = network(batch.inputs, batch.lengths, batch.targets, masks)
    assert logits.shape == (*batch.targets.shape, 6)
    logits.sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("options", BESIDE)
def test_other_cells_and_attentions_step_by_step(options: dict[str, Any]) -> None:
    network, batch = made(dropout=0.5, **options).double(), pairs()
    drawn = network.draw_masks(batch, generator())
    assert drawn is not None
    at_once = network(batch.inputs, batch.lengths, batch.targets, drawn)
    always = drawn._replace(forced=torch.ones_like(batch.targets, dtype=torch.bool))
    torch.testing.assert_close(network(batch.inputs, batch.lengths, batch.targets, always), at_once)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_input_feeding_by_hand(cell: str) -> None:
    network, batch = made(cell=cell, input_feeding=True).double(), pairs()
    source, state = network.encode(batch.inputs, batch.lengths)
    decoder, recurrent = network.decoder, state.recurrent
    fed = torch.zeros(len(batch), 4, dtype=torch.float64)
    before = torch.cat([torch.full((len(batch), 1), 1), batch.targets[:, :-1]], dim=1)
    expected = []
    for tokens in before.unbind(1):
        read = torch.cat([decoder.embedding(tokens), fed], dim=-1).unsqueeze(1)
        hidden, recurrent = decoder.recurrent(read, recurrent)
        context, _ = decoder.attention(hidden, source.keys, source.memory, source.mask)
        fed = torch.tanh(decoder.combine(torch.cat([hidden, context], dim=-1))).squeeze(1)
        expected.append(decoder.output(fed))
    torch.testing.assert_close(
        network(batch.inputs, batch.lengths, batch.targets), torch.stack(expected, dim=1)
    )


@pytest.mark.parametrize("options", [{}, *BESIDE])
def test_attention_weights_sum_to_one_over_the_true_source(options: dict[str, Any]) -> None:
    network, batch = made(**options).double(), pairs()
    assert batch.lengths is not None
    weights = network.attention_weights(batch.inputs, batch.lengths, batch.targets)
    if options.get("attention") == "none":
        assert weights.shape == (*batch.targets.shape, 0)
        return
    assert weights.shape == (*batch.targets.shape, batch.inputs.shape[1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(batch.targets.shape, dtype=torch.float64))
    assert (weights.masked_select(~batch.mask.unsqueeze(1)) == 0).all()


@pytest.mark.parametrize("options", [{}, *BESIDE])
def test_one_beam_is_greedy(options: dict[str, Any]) -> None:
    for seed in range(5):
        network, batch = restless(seed, **options), pairs(seed=seed)
        source, state = network.encode(batch.inputs, batch.lengths)
        found = beam_search(
            partial(network._log_probabilities, source),
            DecoderState.rows,
            state,
            rows=torch.arange(len(batch)).unsqueeze(1),
            limit=7,
            markers=Markers(begin=1, end=2, padding=0),
        )
        assert torch.equal(found, network.generate(batch.inputs, batch.lengths, 7))


def restless(seed: int, **options: Any) -> Seq2Seq:
    """A network whose tokens change from step to step."""
    network = made(seed, **options).double()
    with torch.no_grad():
        network.decoder.output.weight.mul_(20)
    return network


@pytest.mark.parametrize("options", [{}, *BESIDE])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(options: dict[str, Any], penalty: float) -> None:
    network, batch, limit = restless(1, **options), pairs(size=2), 2
    found = network.generate(batch.inputs, batch.lengths, limit, beam_size=36, length_penalty=penalty)
    ended = [(2, 0), *((first, 2) for first in range(6) if first != 2)]
    every = torch.tensor([*ended, *itertools.product([0, 1, 3, 4, 5], repeat=2)])
    lengths = torch.tensor([1] + [2] * (len(every) - 1))
    for row in range(2):
        one = batch.inputs[row : row + 1].expand(len(every), -1)
        assert batch.lengths is not None
        logs = network(one, batch.lengths[row].expand(len(every)), every).log_softmax(-1)
        taken = logs.gather(2, every.unsqueeze(2)).squeeze(2)  # sequences x steps
        taken[0, 1] = 0
        best = every[(taken.sum(1) / length_penalty(lengths, penalty)).argmax()]
        assert found[row].tolist() == best[: found.shape[1]].tolist()


@pytest.mark.parametrize("options", [{}, *BESIDE])
def test_beams_do_not_depend_on_padding_or_on_neighbours(options: dict[str, Any]) -> None:
    network, batch = restless(2, beam_size=3, length_penalty=0.6, **options), pairs()
    assert batch.lengths is not None
    found = network.generate(batch.inputs, batch.lengths)
    wider = torch.nn.functional.pad(batch.inputs, (0, 3), value=4)
    assert torch.equal(network.generate(wider, batch.lengths), found)
    for row, length in enumerate(batch.lengths.tolist()):
        own = network.generate(batch.inputs[row : row + 1, :length], None)[0]
        assert own.tolist() == found[row, : len(own)].tolist()
        assert not found[row, len(own) :].any()


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


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"cell": cell, "bidirectional": both, "num_layers": 2}
            for cell in ("gru", "lstm")
            for both in (False, True)
        ),
        *BESIDE,
    ],
)
def test_nothing_changes_when_padded_further_permuted_or_split(options: dict[str, Any]) -> None:
    network = made(**options).double()
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
        ({"cell": "rnnn"}, "cell=rnnn: expected one of rnn, gru, lstm; did you mean 'rnn'?"),
        (
            {"attention": "aditive"},
            "attention=aditive: expected one of none, additive, dot, general, concat; did you mean 'additive'?",
        ),
        (
            {"attention": "dot", "bidirectional": True},
            "attention=dot: expected additive, general or concat with bidirectional=True",
        ),
        ({"input_feeding": 1}, "input_feeding=1: expected true or false"),
        (
            {"input_feeding": True, "attention": "none"},
            "input_feeding=True: expected false with attention=none",
        ),
        ({"beam_size": 0}, "beam_size=0: expected an integer of at least 1"),
        ({"length_penalty": -1, "beam_size": 2}, "length_penalty=-1: expected a number of at least 0"),
        ({"length_penalty": 0.6}, "length_penalty=0.6: expected 0 with beam_size=1"),
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
