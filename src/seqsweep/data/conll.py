"""Sentences from files of columns: a word a line, a blank line after each sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.data import files
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UD_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""Of CoNLL-U (universaldependencies.org/format)."""
DOCUMENT = "-DOCSTART-"
"""What CoNLL-2003 has in place of a word between documents."""

NOT_A_WORD = re.compile(r"\d+[-.]\d+\t")
"""A line of CoNLL-U for several words, or for none."""

Column = str | int


@dataclass(frozen=True)
class Form:
    """How a file is read.

    Columns count from 1, those below 0 from the last one.
    """

    word: int
    tag: int
    width: int | None = None
    """How many columns there must be; None: as many as in the file's first line."""
    comments: str | None = None
    """What a line that is not read begins with."""
    only_words: bool = False
    """Leave out lines of CoNLL-U that are not for one word: multiword tokens (3-4) and empty nodes (3.1)."""

    @classmethod
    def conll(cls, word: Column | None, tag: Column | None, comments: str | None) -> Form:
        """Columns between tabs, or, where a line has none, between spaces; by default first and last."""
        for name, column in (("word_column", word), ("tag_column", tag)):
            if column is not None and (not isinstance(column, int) or column == 0):
                raise ConfigError(f"{name}={column}: expected a column's number, from 1, -1 for the last")
        return cls(int(word or 1), int(tag or -1), comments=comments)

    @classmethod
    def conllu(cls, word: Column | None, tag: Column | None) -> Form:
        """The ten columns of Universal Dependencies; by default ``form`` and ``upos``."""
        places = [
            _ud_column(name, column)
            for name, column in (("word_column", word or "form"), ("tag_column", tag or "upos"))
        ]
        return cls(places[0], places[1], len(UD_COLUMNS), "#", only_words=True)


@dataclass(frozen=True)
class Sentence:
    """Words that stand together in a file."""

    words: Sequence[str]
    tags: Sequence[str] | None
    """None where they were not asked for."""
    lines: Sequence[int]
    """Where in the file each word stands."""
    columns: Sequence[Sequence[str]] | None = None
    """All that the file says of each word, kept where a prediction is to be put beside it."""


def read(path: Path, encoding: str, form: Form, labelled: bool) -> list[Sentence]:
    """The file's sentences. Raises DataError, which names the line, where one is not as `form` says."""
    width = form.width
    sentences = []
    lines = enumerate(files.read_lines(path, encoding), start=1)
    for blank, group in groupby(lines, key=lambda line: not line[1].strip()):
        rows = [] if blank else [(number, _columns(line)) for number, line in group if _read(line, form)]
        if not rows:
            continue
        if width is None:
            width = len(rows[0][1])
            _check(path, rows[0][0], width, form, labelled)
        for number, row in rows:
            if len(row) != width:
                raise DataError(f"{path}, line {number}: {len(row)} columns, expected {width}")
        sentences.append(_sentence(path, rows, form, labelled))
    return sentences


def _read(line: str, form: Form) -> bool:
    """Whether the line is for a word."""
    if (form.comments and line.startswith(form.comments)) or line.startswith(DOCUMENT):
        return False
    return not (form.only_words and NOT_A_WORD.match(line))


def _columns(line: str) -> list[str]:
    # other spaces, such as those that cannot be broken at, belong to a word
    return line.split("\t") if "\t" in line else [part for part in line.split(" ") if part]


def _sentence(path: Path, rows: Sequence[tuple[int, list[str]]], form: Form, labelled: bool) -> Sentence:
    lines = [number for number, _ in rows]
    words = [_cell(path, number, row, form.word, "word") for number, row in rows]
    if not labelled:
        return Sentence(words, None, lines, [row for _, row in rows])
    tags = [_cell(path, number, row, form.tag, "tag") for number, row in rows]
    return Sentence(words, tags, lines)


def _ud_column(name: str, column: Column) -> int:
    """The number of a column of CoNLL-U, from 1."""
    if isinstance(column, str):
        return UD_COLUMNS.index(checks.one_of(name, column, UD_COLUMNS)) + 1
    if not 1 <= column <= len(UD_COLUMNS):
        raise ConfigError(f"{name}={column}: expected a name or a number from 1 to {len(UD_COLUMNS)}")
    return column


def _check(path: Path, number: int, width: int, form: Form, labelled: bool) -> None:
    """Whether a line has the columns of word and tag, and they are two."""
    wanted = {"word": form.word, "tag": form.tag} if labelled else {"word": form.word}
    places = {what: _place(column, width) for what, column in wanted.items()}
    for what, place in places.items():
        if not 0 <= place < width:
            raise DataError(
                f"{path}, line {number}: has {width} columns; there is no data.{what}_column={wanted[what]}"
            )
    if len(set(places.values())) < len(places):
        raise DataError(f"{path}, line {number}: expected a word and its tag in different columns of {width}")


def _place(column: int, width: int) -> int:
    return column - 1 if column > 0 else width + column


def _cell(path: Path, number: int, row: list[str], column: int, what: str) -> str:
    """The word or the tag."""
    place = _place(column, len(row))
    if not row[place].strip():
        raise DataError(f"{path}, line {number}: the {what} is empty")
    return row[place]
