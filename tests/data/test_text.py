"""Text to tokens and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.data.text import TextCodec
from seqsweep.errors import ConfigError

TEXTS = ["A dog's black-and-white ball.", "the cat sat, the Dog ran."] * 5


@pytest.mark.parametrize("level", ["word", "character", "subword"])
def test_text_of_known_tokens_comes_back(level: str) -> None:
    codec = TextCodec.fit(TEXTS, level=level, specials=("<begin>", "<end>"))
    again = TextCodec.from_plain(json.loads(json.dumps(codec.plain())))
    for text in TEXTS:
        assert again.decode([1, *again.encode(text), 2]) == text


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20), min_size=1))
def test_characters_come_back_whatever_they_are(texts: list[str]) -> None:
    codec = TextCodec.fit(texts, level="character")
    assert [codec.decode(codec.encode(text)) for text in texts] == texts


def test_words_are_cut_at_marks_if_asked() -> None:
    codec = TextCodec.fit(TEXTS, words="punctuation", lowercase=True)
    assert codec.split(TEXTS[0]) == ["a", "dog's", "black-and-white", "ball", "."]
    assert codec.decode(codec.encode("The cat, zat.")) == "the cat , <unk> ."


def test_rare_tokens_are_unknown_and_there_are_no_more_than_asked_for() -> None:
    codec = TextCodec.fit(["a a a b b c"], min_count=2)
    assert codec.tokens == ("<pad>", "<unk>", "a", "b")
    assert codec.encode("c a") == [codec.unknown, 2]
    assert TextCodec.fit(["a a a b b c"], vocabulary_size=3).tokens == ("<pad>", "<unk>", "a")
    assert len(TextCodec.fit(TEXTS * 10, level="subword", vocabulary_size=40)) <= 40


def test_wrong_arguments() -> None:
    for wrong in ({"level": "letter"}, {"words": "x"}, {"min_count": 0}, {"vocabulary_size": 2}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            TextCodec.fit(TEXTS, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["word", "subword"])
def test_special_tokens_in_a_text_are_unknown(level: str) -> None:
    codec = TextCodec.fit([*TEXTS, "x <end> <pad> y"] * 3, level=level, specials=("<begin>", "<end>"))
    written = codec.encode("<pad> x <end> <begin>")
    assert not {0, codec.index["<begin>"], codec.index["<end>"]} & set(written)
    assert len(set(codec.tokens)) == len(codec.tokens)
