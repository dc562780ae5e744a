"""Answers: the classes that a model gives to examples that are not texts, as a table."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_classes(
    column: str,
    names: Sequence[str],
    predictions: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    file: TextIO,
) -> None:
    """CSV: what each example is called, under `column`, its class, and the probability of each class."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow([column, "class", *[f"probability_{name}" for name in classes]])
    for name, prediction in zip(names, predictions, strict=True):
        shares = [f"{share:.6g}" for share in prediction["probabilities"]]
        table.writerow([name, classes[prediction["class"]], *shares])
