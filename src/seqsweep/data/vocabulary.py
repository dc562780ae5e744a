"""Vocabulary: tokens and their indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PADDING = "<pad>"
BEGIN = "<begin>"
END = "<end>"


class Vocabulary:
    """A fixed, ordered set of tokens: the special ones first, the others after them.

    Padding is always there and has index 0. ValueError if a token occurs twice.
    """

    def __init__(self, tokens: Iterable[str], specials: Sequence[str] = ()) -> None:
        self.tokens = (PADDING, *specials, *tokens)
        self._index = {token: index for index, token in enumerate(self.tokens)}
        if len(self._index) != len(self.tokens):
            raise ValueError("a vocabulary's tokens must differ")

    def __len__(self) -> int:
        """How many tokens there are, padding and the other special ones included."""
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._index

    def __getitem__(self, token: str) -> int:
        """The index of `token`. Raises KeyError for an unknown one."""
        return self._index[token]

    @property
    def padding(self) -> int:
        """The index of padding: 0."""
        return self._index[PADDING]

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The tokens' indices. Raises KeyError, naming the token, for an unknown one."""
        return [self._index[token] for token in tokens]

    def decode(self, indices: Iterable[int]) -> list[str]:
        """The tokens at `indices`, up to the first end marker or padding; neither is part of the answer."""
        tokens = []
        for index in indices:
            token = self.tokens[index]
            if token in (END, PADDING):
                break
            tokens.append(token)
        return tokens

    def encode_padded(self, sentences: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """All `sentences` as one padded table, and their lengths.

        Returns (sentences, longest) int64 and (sentences,) int64. Raises KeyError as `encode`.
        """
        lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
        table = np.full((len(sentences), max(lengths, default=0)), self.padding, dtype=np.int64)
        for row, sentence in zip(table, sentences, strict=True):
            row[: len(sentence)] = self.encode(sentence)
        return table, lengths
