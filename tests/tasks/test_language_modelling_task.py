"""The next token of a text, read in stretches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.optim import Adam

from models.model_cases import NUMBERS, PAIRS, generator
from seqsweep.data import Batch, Examples, Streams
from seqsweep.data.jagged import Jagged
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM, RNN, Seq2Seq
from seqsweep.spec import DataSpec
from seqsweep.tasks import LanguageModelling

TEXT = DataSpec(name="text", kind="language_modelling", vocabulary_size=9, output_size=9, per_step=True)
LETTERS = DataSpec(
    name="text", kind="language_modelling", vocabulary_size=9, output_size=9, per_step=True, level="character"
)
KINDS = [RNN, LSTM, GRU]


def task(
    kind: type[Any] = LSTM, spec: DataSpec = TEXT, model: dict[str, Any] | None = None, **options: Any
) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LanguageModelling(
            kind(spec, **{"hidden_size": 5, "embedding_size": 5} | (model or {})), spec, Adam, **options
        )


def text(steps: int = 101) -> Examples:
    tokens, length = torch.randint(1, 9, (steps + 1,), generator=generator()), torch.tensor([steps])
    return Examples(Jagged(tokens, torch.tensor([0]), length), Jagged(tokens, torch.tensor([1]), length))


def validated(made: Any, streams: Streams) -> dict[str, float]:
    with torch.no_grad():
        for place, batch in enumerate(streams):
            made.validation_step(batch, place)
    return {name: measure.compute().item() for name, measure in made._measures("val").items()}


def whole_loss(made: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Of each token of one long reading."""
    with torch.no_grad():
        return F.cross_entropy(made.model(tokens[None, :-1])[0], tokens[1:], reduction="none")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 7, 200])
def test_a_carried_state_makes_stretches_one_long_reading(kind: type[Any], steps: int) -> None:
    made, examples = task(kind, LETTERS), text()
    found = validated(made, Streams(examples, 1, steps, rest=True))
    loss = whole_loss(made, examples.inputs.values).mean().item()
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(loss / math.log(2), rel=1e-5)


@pytest.mark.parametrize("steps", [4, 33])
def test_several_streams_and_their_rest(steps: int) -> None:
    made, examples = task(), text(101)
    tokens = examples.inputs.values
    found = validated(made, Streams(examples, 4, steps, rest=True))  # 25 each, and 1
    pieces = [tokens[:26], tokens[25:51], tokens[50:76], tokens[75:]]
    assert found["loss"] == pytest.approx(
        torch.cat([whole_loss(made, piece) for piece in pieces]).mean().item(), rel=1e-5
    )


def test_a_validation_begins_anew() -> None:
    made, streams = task(), Streams(text(), 2, 8)
    first = validated(made, streams)
    for measure in made._measures("val").values():
        measure.reset()
    assert validated(made, streams) == first


def test_without_a_carried_state_each_stretch_begins_anew() -> None:
    made, examples = task(carry_state=False), text(100)
    tokens = examples.inputs.values
    pieces = [tokens[start : start + 11] for start in range(0, 100, 10)]
    expected = torch.cat([whole_loss(made, piece) for piece in pieces]).mean().item()
    assert validated(made, Streams(examples, 1, 10))["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_goes_back_through_one_batch_only(kind: type[Any]) -> None:
    made = task(kind)
    first, second = list(Streams(text(20), 2, 5))
    made.training_step(first, 0).backward()
    before = made.carried
    assert all(not part.requires_grad for part in (before if isinstance(before, tuple) else (before,)))
    made.zero_grad()
    made.training_step(second, 1).backward()
    found = [parameter.grad.clone() for parameter in made.parameters()]
    made.zero_grad()
    logits, _ = made.model(second.inputs, state=before)
    F.cross_entropy(logits.flatten(0, 1), second.targets.flatten()).backward()
    for mine, parameter in zip(found, made.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_an_epoch_begins_with_zeros() -> None:
    made = task()
    first, second = list(Streams(text(20), 2, 5))
    losses = [
        made.training_step(batch, place).item() for batch, place in ((first, 0), (second, 1), (first, 0))
    ]
    assert losses[0] == losses[2]
    assert made.training_step(first, 1).item() != losses[0]


def test_further_padding_and_order_change_nothing() -> None:
    made = task()
    tokens, lengths = torch.randint(1, 9, (4, 7), generator=generator()), torch.tensor([6, 2, 4, 1])
    true = torch.arange(6) < lengths.unsqueeze(1)

    def loss(extra: int, order: list[int]) -> float:
        inputs = F.pad(tokens[:, :-1].masked_fill(~true, 0), (0, extra))[order]
        targets = F.pad(tokens[:, 1:].masked_fill(~true, 0), (0, extra))[order]
        batch = Batch(inputs, targets, lengths[order], lengths[order])
        return made.loss(*made.tensors(), batch, made.model.start(4), None)[0].item()

    expected = torch.cat(
        [whole_loss(made, row[: length + 1]) for row, length in zip(tokens, lengths, strict=True)]
    ).mean()
    assert loss(0, [0, 1, 2, 3]) == pytest.approx(expected.item(), rel=1e-5)
    assert loss(3, [2, 0, 1, 3]) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.4, "recurrent_dropout": 0.3, "embedding_dropout": 0.2}, {"tied_embeddings": True}],
)
def test_options_of_the_model(options: dict[str, Any]) -> None:
    losses = []
    for _ in range(2):
        made = task(model=options)
        made.generator = generator(3)
        losses.append(
            [made.training_step(batch, place).item() for place, batch in enumerate(Streams(text(30), 3, 4))]
        )
    assert losses[0] == losses[1]


def test_prompts_are_continued() -> None:
    made = task(temperature=0, generated_length=5)
    prompts = Batch(torch.tensor([[1, 2, 3], [4, 0, 0]]), torch.zeros(2, 3), torch.tensor([3, 1]))
    found = made.predictions(prompts)
    assert [len(row) for row in found] == [5, 5]
    assert found[1] == made.predictions(Batch(torch.tensor([[4]]), torch.zeros(1, 1)))[0]


def test_samples_go_on_from_the_tested_texts() -> None:
    letters = tuple("_abcdefgh")
    made = task(spec=replace(LETTERS, input_names=letters, class_names=letters), generated_length=5)
    assert made.samples() == []
    with torch.no_grad():
        for place, batch in enumerate(Streams(text(), 2, 60, rest=True)):
            made.test_step(batch, place)
    first = next(iter(Streams(text(), 2, 60, rest=True)))
    samples = made.samples()
    prompts = ["".join(letters[token] for token in row[:50].tolist()) for row in first.inputs]
    assert [sample["prompt"] for sample in samples] == prompts
    assert all(len(sample["continuation"]) == 5 for sample in samples)


def test_what_is_logged_depends_on_the_tokens() -> None:
    assert task().metrics == ("val/loss", "val/perplexity")
    assert task().monitor == ("val/perplexity", "minimize")
    assert task(spec=LETTERS).monitor == ("val/bits_per_character", "minimize")


def test_models_and_options_that_will_not_do() -> None:
    with pytest.raises(ConfigError, match=r"expected model\.bidirectional=false, since a backward direction"):
        task(model={"bidirectional": True})
    with pytest.raises(ConfigError, match="expected model=rnn, lstm or gru, not Seq2Seq"):
        LanguageModelling(Seq2Seq(PAIRS, hidden_size=4), TEXT, Adam)
    with pytest.raises(ConfigError, match="expected task=classification"):
        LanguageModelling(LSTM(NUMBERS, hidden_size=4), NUMBERS, Adam)
    for options, message in (
        ({"carry_state": 1}, "carry_state=1: expected true or false"),
        ({"generated_length": 0}, "generated_length=0: expected an integer"),
        ({"temperature": -1}, "temperature=-1: expected"),
    ):
        with pytest.raises(ConfigError, match=message):
            task(**options)
