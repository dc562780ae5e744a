"""Classes: the names that labels can have, and their numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


def learnt(labels: Iterable[str], path: Path) -> dict[str, Any]:
    """The classes in their order, and how often each occurs, as JSON has them.

    Whole numbers are ordered by their value, other names by the alphabet. Raises
    DataError, which names `path`, where there are not two classes to tell apart.
    """
    counts = Counter(labels)
    classes = sorted(counts, key=_order(counts))
    if len(classes) < 2:
        raise DataError(
            f"{path}: '{classes[0]}' is the only class; expected at least two in the training part"
        )
    return {"classes": classes, "class_counts": [counts[name] for name in classes]}


def numbered(labels: Sequence[str], fitted: Mapping[str, Any], place: Callable[[int], str]) -> np.ndarray:
    """The labels' class numbers, (labels,) in the smallest type that will do.

    Raises DataError for a label that the training part does not have, at `place` of its row.
    """
    index = {name: number for number, name in enumerate(fitted["classes"])}
    try:
        return np.array([index[label] for label in labels], dtype=np.min_scalar_type(-len(index) - 1))
    except KeyError:
        row = next(row for row, label in enumerate(labels) if label not in index)
        raise DataError(
            f"{place(row)}: '{labels[row]}' is not a class of the training part, which has "
            f"{listed(fitted['classes'])}; correct the label, leave the row out, or train "
            "on some of its kind (if the parts were drawn, another data.split_seed may)"
        ) from None


def listed(names: Sequence[str], most: int = 10) -> str:
    """The names, the first of them if there are many."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _order(names: Iterable[str]) -> Callable[[str], Any]:
    return int if all(name.isascii() and name.removeprefix("-").isdecimal() for name in names) else str
