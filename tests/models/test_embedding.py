"""Words with their spelling."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import LSTM
from seqsweep.spec import DataSpec

SPELLED = DataSpec("spelled", output_size=3, vocabulary_size=9, per_step=True, character_vocabulary_size=7)


def made(**options: object) -> LSTM:
    torch.manual_seed(0)
    return LSTM(
        SPELLED, hidden_size=4, embedding_size=3, spelling_size=6, bidirectional=True, **options
    ).double()


def words(*spellings: tuple[int, list[int]]) -> torch.Tensor:
    """One sentence of (word, characters): 1 x time x (1 + characters)."""
    width = max(len(characters) for _, characters in spellings)
    return torch.tensor(
        [[[word, *characters, *[0] * (width - len(characters))] for word, characters in spellings]]
    )


def test_a_words_vector_depends_on_itself_and_its_spelling_only() -> None:
    layer = made().inputs
    inputs = words((1, [1, 2, 3]), (1, [4]), (2, [1, 2, 3]), (1, [1, 2, 3]))
    vectors = layer(inputs)[0]
    assert vectors.shape == (4, 3 + 6)
    assert torch.equal(vectors[0], vectors[3])
    assert torch.equal(vectors[0, 3:], vectors[2, 3:])
    assert not torch.equal(vectors[0, 3:], vectors[1, 3:])
    wider = torch.nn.functional.pad(inputs, (0, 5))
    torch.testing.assert_close(layer(wider), layer(inputs), rtol=0, atol=1e-12)


def test_gradients_reach_the_characters() -> None:
    network = made()
    network(words((1, [1, 2]), (2, [3]))).sum().backward()
    rows = network.inputs.spelling.characters.weight.grad.abs().sum(dim=1)
    assert (rows > 0).tolist() == [False, True, True, True, False, False, False]


def test_dropping_a_word_leaves_its_spelling() -> None:
    network = made(embedding_dropout=0.9)
    batch = Batch(words((1, [1]), (2, [2]), (1, [1])), torch.zeros(1, 3))
    masks = network.draw_masks(batch, torch.Generator().manual_seed(0))
    assert masks is not None
    dropped = network.inputs(batch.inputs, torch.zeros(1, 3, 1))
    assert dropped[..., :3].abs().sum() == 0
    assert torch.equal(dropped[..., 3:], network.inputs(batch.inputs)[..., 3:])


def test_sizes_that_do_not_suit() -> None:
    with pytest.raises(ConfigError, match="spelling_size=5: expected an even number"):
        LSTM(SPELLED, spelling_size=5)
    with pytest.raises(
        ConfigError, match="spelling_size=6: expected null: the steps of 'spelled' have no spelling"
    ):
        LSTM(replace(SPELLED, character_vocabulary_size=None), spelling_size=6)
