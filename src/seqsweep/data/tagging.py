"""Tagging: sentences with a tag for each word."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import classes, conll
from seqsweep.data.batch import Examples
from seqsweep.data.conll import Column, Form
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.data.text import TextCodec
from seqsweep.errors import ConfigError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

FORMATS = ("auto", "conll", "conllu")
NO_TAG = "_"
"""Written where nothing was predicted."""


@dataclass(eq=False, repr=False)
class Tagging(Corpus[Rows]):
    """Sentences and a tag for each of their words, from files of columns, a word a line.

    Formats of a file:

    conll    columns between tabs, else between spaces; a blank line, or one of white space
             alone, after each sentence
    conllu   the ten columns of Universal Dependencies, of which multiword tokens and empty
             nodes are left out

    Inputs are (batch, time) words or, with `characters`, (batch, time, 1 + `max_characters`),
    the word first and then its spelling; targets are (batch, time) tags.
    """

    _: KW_ONLY
    format: str = "auto"
    """``auto``: conllu if the file's name ends in .conllu, else conll."""
    word_column: Column | None = None
    """A number from 1, or -1 for the last one, or in CoNLL-U a name; None: the first one, ``form``."""
    tag_column: Column | None = None
    """None: the last one, ``upos``."""
    comments: str | None = None
    """What lines begin with that are not read; None: there are no such lines (in CoNLL-U always ``#``)."""
    encoding: str = "utf-8"
    lowercase: bool = False
    """Of words; their spelling stays as it is."""
    min_count: int = 2
    """Words and characters that occur less often in training are ``<unk>``, which is thereby trained."""
    vocabulary_size: int | None = None
    """Words at most; None for no limit."""
    characters: bool = False
    """Let the model read how words are spelt."""
    max_characters: int = 20
    """Read of a word, from its beginning."""

    splits_by = ("row", "time")

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.one_of("format", self.format, FORMATS)
        checks.positive_int("min_count", self.min_count)
        checks.positive_int("max_characters", self.max_characters)
        self._form()
        if self.comments == "":
            raise ConfigError("comments=: expected what comment lines begin with, such as '#', or null")

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """The file's sentences."""
        sentences = conll.read(path, self.encoding, self._form(), labelled)
        return Rows(path, sentences, [f"line {sentence.lines[0]}" for sentence in sentences])

    def fit(self, train: Rows) -> Fitted:
        """The tags, the words, and the characters if they are read."""
        tags = chain.from_iterable(sentence.tags for sentence in train.items)
        words = [word for sentence in train.items for word in sentence.words]
        codec = TextCodec.fit(
            words,
            words="none",
            lowercase=self.lowercase,
            min_count=self.min_count,
            vocabulary_size=self.vocabulary_size,
        )
        spelling = (
            TextCodec.fit(words, level="character", min_count=self.min_count) if self.characters else None
        )
        return {
            **classes.learnt(tags, train.path),
            "words": codec.plain(),
            "characters": None if spelling is None else spelling.plain(),
        }

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Words one after the other, the sentences' lengths, and the words' tags."""
        kept = [
            self.limited(range(len(sentence.words)), records.place(row))
            for row, sentence in enumerate(records.items)
        ]
        pairs = list(zip(records.items, kept, strict=True))
        words = [sentence.words[place] for sentence, places in pairs for place in places]
        return {
            "words": self._encoded(words, fitted),
            "lengths": np.array([len(places) for places in kept]),
            "tags": self._tags(records, pairs, fitted),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """Sequences of words and of tags."""
        lengths = arrays["lengths"]
        return Examples(Jagged.of(arrays["words"], lengths), Jagged.of(arrays["tags"], lengths))

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Vocabularies and tags."""
        spelling = fitted["characters"]
        return DataSpec(
            name=self.label,
            kind="tagging",
            per_step=True,
            vocabulary_size=len(fitted["words"]["tokens"]),
            character_vocabulary_size=None if spelling is None else len(spelling["tokens"]),
            output_size=len(fitted["classes"]),
            class_names=tuple(fitted["classes"]),
            class_counts=tuple(fitted["class_counts"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Tags, words, characters."""
        spelling = fitted["characters"]
        return (
            f"{len(fitted['classes'])} tags ({classes.listed(fitted['classes'], most=20)}), "
            f"{len(fitted['words']['tokens']):,} words"
            + ("" if spelling is None else f", {len(spelling['tokens']):,} characters")
        )

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """What the file says of each word, and in a last column the predicted tag."""
        names = self.fitted["classes"]
        for sentence, tags in zip(records.items, predictions, strict=True):
            for row, tag in zip_longest(sentence.columns, tags):
                file.write("\t".join([*row, NO_TAG if tag is None else names[tag]]) + "\n")
            file.write("\n")

    def _form(self) -> Form:
        """How files are read: all as the training file's name says, where nothing else does."""
        by_name = "conllu" if str(self.train).lower().removesuffix(".gz").endswith(".conllu") else "conll"
        if (by_name if self.format == "auto" else self.format) == "conllu":
            return Form.conllu(self.word_column, self.tag_column)
        return Form.conll(self.word_column, self.tag_column, self.comments)

    def _encoded(self, words: Sequence[str], fitted: Fitted) -> np.ndarray:
        """The words, (words,) or with their spelling (words, 1 + characters), each looked up once."""
        places: dict[str, int] = {}
        index = np.array([places.setdefault(word, len(places)) for word in words])
        codec = TextCodec.from_plain(fitted["words"])
        table = np.array([codec.encode(word) for word in places])  # different words x 1
        largest = len(codec)
        if fitted["characters"] is not None:
            spelling = TextCodec.from_plain(fitted["characters"])
            table = np.concatenate([table, self._spelt(places, spelling)], axis=1)
            largest = max(largest, len(spelling))
        spelt: np.ndarray = table.astype(np.min_scalar_type(-largest))[index]
        return spelt if fitted["characters"] is not None else spelt.squeeze(1)

    def _spelt(self, words: Iterable[str], spelling: TextCodec) -> np.ndarray:
        """(words, characters), padded with 0."""
        rows = [spelling.encode(word)[: self.max_characters] for word in words]
        return np.array([row + [0] * (self.max_characters - len(row)) for row in rows])

    def _tags(self, records: Rows, pairs: Sequence[tuple[Any, range]], fitted: Fitted) -> np.ndarray:
        """The words' tags; where there are none, something."""
        tagged = [(sentence, place) for sentence, places in pairs for place in places]
        if any(sentence.tags is None for sentence, _ in pairs):
            return np.zeros(len(tagged), dtype=np.int16)
        tags = [sentence.tags[place] for sentence, place in tagged]

        def line(row: int) -> str:
            sentence, place = tagged[row]
            return f"{records.path}, line {sentence.lines[place]}"

        return classes.numbered(tags, fitted, line)
