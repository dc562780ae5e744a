from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.data import Vocabulary
from seqsweep.data.vocabulary import BEGIN, END, PADDING

WORDS = ("left", "right", "walk")
vocabulary = Vocabulary(WORDS, specials=(BEGIN, END))


@given(st.lists(st.sampled_from(WORDS)))
def test_encoding_and_decoding_come_back(sentence: list[str]) -> None:
    assert vocabulary.decode(vocabulary.encode(sentence)) == sentence
    assert vocabulary.decode([*vocabulary.encode([*sentence, END]), 3, 0]) == sentence


def test_special_tokens_come_first_and_padding_is_zero() -> None:
    assert vocabulary.tokens == (PADDING, BEGIN, END, *WORDS)
    assert (vocabulary.padding, vocabulary[BEGIN], vocabulary[END], vocabulary["left"]) == (0, 1, 2, 3)
    assert len(vocabulary) == 6
    assert "walk" in vocabulary
    assert "run" not in vocabulary


def test_sentences_are_padded_to_the_longest() -> None:
    table, lengths = vocabulary.encode_padded([["walk"], ["left", "right", END], []])
    assert table.tolist() == [[5, 0, 0], [3, 4, 2], [0, 0, 0]]
    assert lengths.tolist() == [1, 3, 0]


def test_unknown_and_repeated_tokens_are_refused() -> None:
    with pytest.raises(KeyError, match="run"):
        vocabulary.encode(["walk", "run"])
    with pytest.raises(ValueError, match="differ"):
        Vocabulary(["walk", "walk"])
