"""TsClassification: labelled series of numbers from the UEA and UCR archives' .ts files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import classes, files
from seqsweep.data.answers import write_classes
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.data.scaling import SCALES, learn_scale, standardised
from seqsweep.data.table import LARGEST
from seqsweep.errors import DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(eq=False, repr=False)
class TsClassification(Corpus[Rows]):
    """A class for each series, of one or more channels and of any length.

    A ``.ts`` file has header lines that begin with ``@``, then a case a line: its channels,
    each ``value,value,...``, and its class, with ``:`` between them. Missing values and time
    stamps are refused. Values are standardised channel by channel with ``scale=standard``.
    """

    _: KW_ONLY
    split_by: str = "row"
    scale: str = "standard"
    """``standard``: mean 0 and standard deviation 1 over all steps of the training part; or ``none``."""
    encoding: str = "utf-8"

    splits_by = ("row",)

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.one_of("scale", self.scale, SCALES)

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """The file's cases; an item is an array of time x channels."""
        lines = files.read_lines(path, self.encoding)
        header, first = _header(path, lines)
        form = _Form(path, header, labelled)
        cases = [
            (number, form.case(f"{path}, line {number}", line))
            for number, line in enumerate(lines[first:], start=first + 1)
            if line.strip() and not line.startswith("#")
        ]
        return Rows(
            path,
            [self.limited(series, f"{path}, line {number}") for number, (series, _) in cases],
            [f"line {number}" for number, _ in cases],
            labels=[label for _, (_, label) in cases] if labelled else None,
            extra={"channels": form.channels},
        )

    def fit(self, train: Rows) -> Fitted:
        """Channels, classes, means and scales."""
        return {
            "channels": train.extra["channels"],
            "longest": max(len(series) for series in train.items),
            **classes.learnt(train.labels or (), train.path),
            **learn_scale(np.concatenate(train.items), self.scale),
        }

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Scaled values one series after the other, their lengths, and classes."""
        if records.extra["channels"] != fitted["channels"]:
            raise DataError(
                f"{records.path}: {records.extra['channels']} channels, but {fitted['channels']} in training"
            )
        labels = records.labels
        none = np.zeros(len(records), np.int16)
        return {
            "values": standardised(np.concatenate(records.items), fitted),
            "lengths": np.array([len(series) for series in records.items]),
            "targets": none if labels is None else classes.numbered(labels, fitted, records.place),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """A series and its class."""
        return Examples(Jagged.of(arrays["values"], arrays["lengths"]), arrays["targets"])

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps, one class a sequence."""
        return DataSpec(
            name=self.label,
            kind="classification",
            input_size=fitted["channels"],
            output_size=len(fitted["classes"]),
            max_length=fitted["longest"],
            class_names=tuple(fitted["classes"]),
            class_counts=tuple(fitted["class_counts"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Channels, steps and classes."""
        return (
            f"{fitted['channels']} channels, up to {fitted['longest']:,} steps, "
            f"{len(fitted['classes'])} classes ({classes.listed(fitted['classes'])})"
        )

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: the case's line in its file, its class, the probability of each."""
        lines = [place.removeprefix("line ") for place in records.where]
        write_classes("line", lines, predictions, self.fitted["classes"], file)


class _Form:
    """What a file's header says of its cases, and how one is read."""

    def __init__(self, path: Path, header: Mapping[str, tuple[int, list[str]]], labelled: bool) -> None:
        for name, what in (
            ("timestamps", "time stamps"),
            ("targetlabel", "target values in place of classes"),
        ):
            line, words = header.get(name, (0, []))
            if _true(words):
                raise DataError(f"{path}, line {line}: {what} are not supported; expected @{name} false")
        line, words = header.get("classlabel", (1, []))
        self.has_label = _true(words)
        if labelled and not self.has_label:
            raise DataError(f"{path}, line {line}: expected @classLabel true and the names of the classes")
        self.labelled = labelled
        self.classes = words[1:] or None
        self.channels = _dimensions(path, header)

    def case(self, place: str, line: str) -> tuple[np.ndarray, str]:
        """A line as time x channels, and its class, which is empty where none is asked for."""
        fields = [field.strip() for field in line.strip().split(":")]
        label = fields.pop() if self._ends_in_label(fields) else ""
        if any("(" in field for field in fields):
            raise DataError(f"{place}: time stamps are not supported; expected value,value,...")
        if self.labelled and (label == "" or (self.classes is not None and label not in self.classes)):
            expected = classes.listed(self.classes) if self.classes else "a name after the last ':'"
            raise DataError(f"{place}: class '{label}', expected {expected}")
        self.channels = self.channels or len(fields)
        if len(fields) != self.channels:
            raise DataError(f"{place}: {len(fields)} channels, expected {self.channels}")
        return parse_case(place, fields), label

    def _ends_in_label(self, fields: Sequence[str]) -> bool:
        """Of a file to make predictions for, the classes may have been left out."""
        return self.has_label and (self.labelled or len(fields) != self.channels)


def parse_case(place: str, fields: Sequence[str]) -> np.ndarray:
    """Time x channels of the channels' fields, each ``value,value,...``.

    Raises DataError, which begins with `place`, for fields of unequal length and what is no finite number.
    """
    series = [_numbers(place, channel, field) for channel, field in enumerate(fields, start=1)]
    for channel, values in enumerate(series, start=1):
        if len(values) != len(series[0]):
            raise DataError(
                f"{place}: channel {channel} has {len(values)} values, the first one {len(series[0])}"
            )
    return np.stack(series, axis=1)


def _header(path: Path, lines: Sequence[str]) -> tuple[dict[str, tuple[int, list[str]]], int]:
    """Each ``@name`` in small letters with its line's number and words; and how many lines they take."""
    header: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith("@"):
            raise DataError(
                f"{path}, line {number}: expected a line that begins with '@', or '@data' before it"
            )
        name, *words = line[1:].split()
        if name.lower() == "data":
            return header, number
        header[name.lower()] = (number, words)
    raise DataError(f"{path}: has no line '@data'; expected a .ts file's header and its cases")


def _dimensions(path: Path, header: Mapping[str, tuple[int, list[str]]]) -> int | None:
    """How many channels the header promises."""
    line, words = header.get("dimensions", header.get("dimension", (0, [])))
    if not words:
        return 1 if _true(header.get("univariate", (0, []))[1]) else None
    if not words[0].isdecimal() or int(words[0]) == 0:
        raise DataError(f"{path}, line {line}: '{words[0]}' dimensions, expected a number of at least 1")
    return int(words[0])


def _true(words: Sequence[str]) -> bool:
    return bool(words) and words[0].lower() == "true"


def _numbers(place: str, channel: int, field: str) -> np.ndarray:
    texts = field.split(",")
    try:
        values = np.array(texts, dtype=np.float64)
        if (np.abs(values) <= LARGEST).all():
            return values
    except ValueError:
        pass
    step, text = next((step, text) for step, text in enumerate(texts, start=1) if not _finite(text))
    what = "is missing" if text.strip() in ("?", "") else f"is '{text.strip()}'"
    raise DataError(
        f"{place}: value {step} of channel {channel} {what}; expected a finite number, "
        "so fill it in or leave the case out"
    )


def _finite(text: str) -> bool:
    try:
        return abs(float(text)) <= LARGEST
    except ValueError:
        return False
