"""CsvClassification and CsvRegression: sequences of numbers in the rows of a table, one after the other."""

from __future__ import annotations

import csv
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import classes
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import rows_of
from seqsweep.data.scaling import SCALES, learn_scale, standardised
from seqsweep.data.table import Table, TableFile
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sequences:
    """Records held in columns: each is a stretch of the rows of `values`."""

    file: TableFile
    names: np.ndarray
    """(sequences,) what the id column calls them."""
    first: np.ndarray
    """(sequences,) the table's row that each begins with."""
    starts: np.ndarray
    """(sequences,) where each begins in `values`."""
    lengths: np.ndarray
    values: np.ndarray = field(repr=False)
    """rows x features, those of a sequence one after the other."""
    features: tuple[str, ...]
    left_out: tuple[str, ...]
    """Columns that are no numbers."""
    labels: np.ndarray | None = None
    """(sequences,) class names."""
    targets: np.ndarray | None = None
    """(sequences, targets)."""
    groups: np.ndarray | None = None
    """(sequences,) integers."""

    def __len__(self) -> int:
        """How many sequences there are."""
        return len(self.names)

    def take(self, index: np.ndarray) -> Sequences:
        """The sequences at `index`; `values` is shared."""
        columns = ("names", "first", "starts", "lengths", "labels", "targets", "groups")
        found: dict[str, Any] = {name: getattr(self, name) for name in columns}
        return replace(self, **{name: column[index] for name, column in found.items() if column is not None})

    def place(self, row: int) -> str:
        """The line of the sequence's first row, and its id."""
        return f"{self.file.place(int(self.first[row]))}, sequence '{self.names[row]}'"

    def strata(self) -> np.ndarray | None:
        """The classes, numbered."""
        return None if self.labels is None else np.unique(self.labels.astype(str), return_inverse=True)[1]

    def grouped(self) -> np.ndarray | None:
        """The groups, numbered from 0."""
        return None if self.groups is None else np.unique(self.groups, return_inverse=True)[1]


@dataclass(eq=False, repr=False)
class CsvSequences(Corpus[Sequences]):
    """Sequences in long form: a row a step, with the sequence's id, a time, numbers, and the target.

    The rows of a sequence need not stand together; their times rise. The target is the same in all of them.
    A file is text with a header, plain or gzipped, or Parquet, if its name ends so.
    """

    _: KW_ONLY
    id: str = "id"
    """The column that says which sequence a row belongs to."""
    time: str | None = "time"
    """The column of numbers or dates that orders a sequence's rows; None takes them as they come."""
    target: Any = "target"
    """The column of answers; for regression a list names several."""
    features: Any = None
    """The columns that models see; None for all other columns of numbers."""
    group: str | None = None
    """The column that says what must not be torn apart by ``split_by=group``, such as a patient."""
    scale: str = "standard"
    """``standard``: mean 0 and standard deviation 1; ``minmax``: 0 to 1; ``none``. By the training part."""
    separator: str = ","
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.one_of("scale", self.scale, SCALES)
        if not isinstance(self.separator, str) or len(self.separator) != 1:
            raise ConfigError(f"separator={self.separator}: expected one character, such as ';' or a tab")
        if self.features is not None:
            self.features = _names("features", self.features)
        self.targets = _names("target", self.target)
        if self.split_by == "group" and self.group is None:
            raise ConfigError("group=null: expected the name of a column with data.split_by=group")

    # ------------------------------------------------------------ what the two kinds say

    def answers(self, table: Table, steps: Steps) -> dict[str, np.ndarray]:
        """The column of `Sequences` that holds the answers, by its name."""
        raise NotImplementedError

    def learn_answers(self, train: Sequences) -> Fitted:
        """What the training part's answers teach."""
        raise NotImplementedError

    def encode_answers(self, records: Sequences, fitted: Fitted) -> np.ndarray:
        """The answers as models see them, zeros where there are none."""
        raise NotImplementedError

    # ------------------------------------------------------------ what both do

    def read(self, path: Path, labelled: bool = True) -> Sequences:
        """The file's sequences; in the order of their last times with ``split_by=time``."""
        file = TableFile(path, self.separator, self.encoding)
        table = file.read(texts=[self.id, *filter(None, [self.group]), *self.text_columns()])
        self._check_columns(table, labelled)
        features, left_out = self._columns(table)
        steps = Steps.of(table, self.id)
        times = None if self.time is None else steps.times(self.time)
        values = np.stack([table.numbers(name)[steps.order] for name in features], axis=1)
        records = Sequences(
            file,
            steps.names,
            steps.order[steps.starts],
            steps.starts,
            steps.lengths,
            values,
            tuple(features),
            tuple(left_out),
            **(self.answers(table, steps) if labelled else {}),
            groups=steps.common(self.group, *table.codes(self.group)) if labelled and self.group else None,
        )
        if self.split_by == "time" and times is not None:
            return records.take(np.argsort(times[steps.starts + steps.lengths - 1], kind="stable"))
        return records

    def text_columns(self) -> Sequence[str]:
        """Columns that are read as they are written, whatever they look like."""
        return ()

    def fit(self, train: Sequences) -> Fitted:
        """The features, their means and scales, and what the answers teach."""
        lengths = self._lengths(train)
        return {
            "features": list(train.features),
            "left_out": list(train.left_out),
            "longest": int(lengths.max()),
            **learn_scale(train.values[rows_of(train.starts, lengths)], self.scale),
            **self.learn_answers(train),
        }

    def encode(self, records: Sequences, fitted: Fitted) -> dict[str, np.ndarray]:
        """Scaled values one sequence after the other, their lengths, and the answers."""
        for name in fitted["features"]:
            if name not in records.features:
                raise DataError(
                    f"{records.file.path}: no column '{name}' of numbers, which training had; "
                    f"it has {classes.listed(records.features)}"
                )
        lengths = self._lengths(records)
        columns = [records.features.index(name) for name in fitted["features"]]
        values = records.values[rows_of(records.starts, lengths)]
        if columns != list(range(values.shape[1])):
            values = values[:, columns]
        return {
            "values": standardised(values, fitted),
            "lengths": lengths,
            "targets": self.encode_answers(records, fitted),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """A sequence and its answer."""
        return Examples(Jagged.of(arrays["values"], arrays["lengths"]), arrays["targets"])

    def facts(self, fitted: Fitted) -> str:
        """Columns and steps."""
        features = fitted["features"]
        left_out = f", left out: {classes.listed(fitted['left_out'])}" if fitted["left_out"] else ""
        return (
            f"{len(features)} {'feature' if len(features) == 1 else 'features'} "
            f"({classes.listed(features)}{left_out}), up to {fitted['longest']:,} steps"
        )

    def _check_columns(self, table: Table, labelled: bool) -> None:
        table.require("id", self.id)
        if self.time is not None:
            table.require("time", self.time)
        for option, name in [("group", self.group), *(("target", name) for name in self.targets)]:
            if labelled and name is not None:
                table.require(option, name)
        if len(table) == 0:
            raise DataError(f"{table.file.path}: a header alone; expected rows below it")

    def _columns(self, table: Table) -> tuple[list[str], list[str]]:
        """The features, and the columns that are left out because they are no numbers."""
        wanted = self.features or (self._given or {}).get("features")
        if wanted is not None:
            for name in wanted:
                table.require("features", name)
            return list(wanted), []
        others = [name for name in table.names if name not in {self.id, self.time, self.group, *self.targets}]
        features = table.numeric_names({self.id, self.time, self.group, *self.targets})  # type: ignore[arg-type]
        if not features:
            raise DataError(f"{table.file.path}: no column of numbers besides id, time and target")
        return features, [name for name in others if name not in features]

    def _lengths(self, records: Sequences) -> np.ndarray:
        """(sequences,) the steps that are kept of each. Raises DataError as `limited` does."""
        too_long = np.flatnonzero(records.lengths > self.max_length)
        if len(too_long) and self.too_long == "refuse":  # to find the place the file is read again
            first = int(too_long[0])
            self.limited(range(records.lengths[first]), records.place(first))
        lengths: np.ndarray = np.minimum(records.lengths, self.max_length)
        return lengths


@dataclass(eq=False, repr=False)
class CsvClassification(CsvSequences):
    """A class for each sequence of a table; see `CsvSequences`. Classes are taken as they are written."""

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if len(self.targets) != 1:
            raise ConfigError(f"target={self.target}: expected the name of one column")

    def text_columns(self) -> Sequence[str]:
        """The classes."""
        return self.targets

    def answers(self, table: Table, steps: Steps) -> dict[str, np.ndarray]:
        """The classes by name."""
        [target] = self.targets
        codes, names = table.codes(target)
        return {"labels": names[steps.common(target, codes, names)]}

    def learn_answers(self, train: Sequences) -> Fitted:
        """The classes."""
        assert train.labels is not None
        return classes.learnt(train.labels, train.file.path)

    def encode_answers(self, records: Sequences, fitted: Fitted) -> np.ndarray:
        """(sequences,) class numbers."""
        if records.labels is None:
            return np.zeros(len(records), dtype=np.int16)
        return classes.numbered(records.labels.tolist(), fitted, records.place)

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps, one class a sequence."""
        return DataSpec(
            name=self.label,
            kind="classification",
            input_size=len(fitted["features"]),
            output_size=len(fitted["classes"]),
            max_length=fitted["longest"],
            class_names=tuple(fitted["classes"]),
            class_counts=tuple(fitted["class_counts"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Columns, steps and classes."""
        names = fitted["classes"]
        return f"{super().facts(fitted)}, {len(names)} classes ({classes.listed(names)})"

    def write(self, records: Sequences, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: a row a sequence with its id, its class, and the probability of each class."""
        names, [target] = self.fitted["classes"], self.targets
        writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
        writer.writerow([self.id, target, *(f"probability_{name}" for name in names)])
        for name, said in zip(records.names, predictions, strict=True):
            shares = (f"{share:.6f}" for share in said["probabilities"])
            writer.writerow([name, names[said["class"]], *shares])


@dataclass(eq=False, repr=False)
class CsvRegression(CsvSequences):
    """One or several numbers for each sequence of a table; see `CsvSequences`.

    Models see the targets with mean 0 and standard deviation 1 over the training part.
    """

    def answers(self, table: Table, steps: Steps) -> dict[str, np.ndarray]:
        """The numbers."""
        return {
            "targets": np.stack([steps.common(name, table.numbers(name)) for name in self.targets], axis=1)
        }

    def learn_answers(self, train: Sequences) -> Fitted:
        """Means and scales of the targets."""
        assert train.targets is not None
        learnt = learn_scale(train.targets)
        for name, column in zip(self.targets, train.targets.T, strict=True):
            if column.min() == column.max():
                raise DataError(
                    f"{train.file.path}: column '{name}' is {column[0]:g} in every training sequence; "
                    "expected targets that differ"
                )
        return {"target_means": learnt["means"], "target_scales": learnt["scales"]}

    def encode_answers(self, records: Sequences, fitted: Fitted) -> np.ndarray:
        """(sequences, targets) float32, standardised."""
        if records.targets is None:
            return np.zeros((len(records), len(self.targets)), dtype=np.float32)
        known = {"means": fitted["target_means"], "scales": fitted["target_scales"]}
        return standardised(records.targets, known)

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps, numbers for each sequence."""
        return DataSpec(
            name=self.label,
            kind="regression",
            input_size=len(fitted["features"]),
            output_size=len(self.targets),
            max_length=fitted["longest"],
            target_names=self.targets,
            target_means=tuple(fitted["target_means"]),
            target_scales=tuple(fitted["target_scales"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Columns, steps and targets."""
        spread = (
            f"{name} {mean:.4g} ± {scale:.4g}"
            for name, mean, scale in zip(
                self.targets, fitted["target_means"], fitted["target_scales"], strict=True
            )
        )
        return f"{super().facts(fitted)}, to predict: {', '.join(spread)}"

    def write(self, records: Sequences, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: a row a sequence with its id and its numbers."""
        writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
        writer.writerow([self.id, *self.targets])
        for name, numbers in zip(records.names, predictions, strict=True):
            writer.writerow([name, *(f"{number:.8g}" for number in numbers)])


@dataclass(frozen=True, eq=False)
class Steps:
    """The rows of a table brought together by sequence."""

    table: Table
    order: np.ndarray
    """(rows,) the table's rows, those of a sequence one after the other, else as they stood."""
    starts: np.ndarray
    lengths: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, table: Table, column: str) -> Steps:
        """Rows of one text in `column` are a sequence; sequences come in the order of their first rows."""
        codes, names = table.codes(column)
        order = np.argsort(codes, kind="stable")
        lengths = np.bincount(codes, minlength=len(names))
        return cls(table, order, np.cumsum(lengths) - lengths, lengths, names)

    def times(self, column: str) -> np.ndarray:
        """(rows,) the times in `order`. Raises DataError for a row that is not later than the one before."""
        times: np.ndarray = self.table.times(column)[self.order]
        later = times[1:] > times[:-1]
        later[self.starts[1:] - 1] = True
        if not later.all():
            row = int(np.argmin(later)) + 1
            twice = times[row] == times[row - 1]
            what = "was there before" if twice else "is earlier than that of the row before"
            raise DataError(
                f"{self._place(row)}: its {column} {what}; expected times that rise within a sequence: "
                f"{'drop one of the rows' if twice else 'sort the rows'}, or take them as they stand "
                "(data.time=null)"
            )
        return times

    def common(self, column: str, values: np.ndarray, shown: np.ndarray | None = None) -> np.ndarray:
        """(sequences,) the value that all rows of a sequence have. Raises DataError where they do not agree.

        Args:
            column: its name.
            values: (rows,) as the table has them.
            shown: what to call a value in a message, if they are integers that stand for something.

        """
        values = values[self.order]
        firsts: np.ndarray = values[self.starts]
        other = values != np.repeat(firsts, self.lengths)
        if other.any():
            row = int(np.argmax(other))
            first = values[self.starts[np.searchsorted(self.starts, row, side="right") - 1]]
            here, there = (
                (shown[value] if shown is not None else f"{value:g}") for value in (values[row], first)
            )
            raise DataError(
                f"{self._place(row)}: its {column} is '{here}', in the sequence's first row '{there}'; "
                "expected the same in all rows of a sequence"
            )
        return firsts

    def _place(self, row: int) -> str:
        """Where the user finds a row that is counted in `order`, and its sequence."""
        name = self.names[np.searchsorted(self.starts, row, side="right") - 1]
        return f"{self.table.file.place(int(self.order[row]))}, sequence '{name}'"


def _names(option: str, given: Any) -> tuple[str, ...]:
    """One name or a list of them as a tuple."""
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else ()
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ConfigError(f"{option}={given}: expected the name of a column, or a list of different ones")
    return names
