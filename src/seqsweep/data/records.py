"""Records: what was read from a file, before it is encoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self


class Records(Protocol):
    """Examples as their file has them, and what dividing them into parts needs."""

    def __len__(self) -> int:
        """How many examples there are."""

    def take(self, index: np.ndarray) -> Self:
        """The records at `index`."""

    def place(self, row: int) -> str:
        """Where the user finds that record: the file, and the row or line in it."""

    def strata(self) -> np.ndarray | None:
        """(records,) integers whose shares each part is to have; None where there is no such thing."""

    def grouped(self) -> np.ndarray | None:
        """(records,) what must not be torn apart, a speaker or an engine; None where nothing is said."""


@dataclass(frozen=True)
class Rows:
    """Records held in lists: texts, sentences, recordings, songs.

    `items` are whatever the kind reads, `where` says for each at which line or file it was.
    """

    path: Path
    items: Sequence[Any]
    where: Sequence[str]
    labels: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """What belongs to the whole file, such as the columns' names."""

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.items)

    def take(self, index: np.ndarray) -> Rows:
        """The records at `index`."""
        return Rows(
            self.path,
            [self.items[row] for row in index],
            [self.where[row] for row in index],
            None if self.labels is None else [self.labels[row] for row in index],
            None if self.groups is None else [self.groups[row] for row in index],
            self.extra,
        )

    def place(self, row: int) -> str:
        """The file and what `where` says."""
        return f"{self.path}, {self.where[row]}"

    def strata(self) -> np.ndarray | None:
        """The labels, numbered."""
        return None if self.labels is None else _numbered(self.labels)

    def grouped(self) -> np.ndarray | None:
        """The groups, numbered."""
        return None if self.groups is None else _numbered(self.groups)


def rows_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The rows of stretches of a table, one stretch after the other.

    Args:
        starts: (stretches,) the first row of each.
        lengths: (stretches,) how many rows each has.

    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _numbered(names: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
