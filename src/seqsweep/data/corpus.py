"""Corpus, the base of all data read from files: the user's own, or a named set's."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TextIO, TypeVar

import numpy as np

from seqsweep import checks
from seqsweep.catalogue import origin
from seqsweep.data import files
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.data.splitting import divide
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from seqsweep.data.batch import Examples
    from seqsweep.data.records import Records
    from seqsweep.spec import DataSpec

PARTS = ("train", "val", "test")
SPLITS = ("row", "group", "time")
Fitted = Mapping[str, Any]
"""What was learnt from the training part, as JSON has it: vocabularies, classes, means, column names."""

RecordsT = TypeVar("RecordsT", bound="Records")
Sequenced = TypeVar("Sequenced", bound="Sequence[Any] | np.ndarray")


@dataclass(eq=False, repr=False)
class Corpus(SequenceData, Generic[RecordsT]):
    """Examples from files, encoded by what the training part teaches.

    A kind of file says how it is read, what is learnt from it, how its records become
    arrays, and what an answer looks like in a file of that kind:
    `read`, `fit`, `encode`, `examples`, `describe_to_models`, `write`.

    `train`, `val` and `test` name files: those of the named set `dataset` in its folder under
    the data root, else the user's own, from the working directory or the data root,
    plain or gzipped. Without `val` or `test` a share of the training records is held out:
    drawn by `split_seed`, each class in proportion (``split_by=row``), whole groups
    (``group``), or the last ones in time (``time``).
    """

    _: KW_ONLY
    batch_size: int = 32
    root: Any = None
    """The folder of the named sets, a path; None for the usual one (`seqsweep.paths.data_root`)."""
    seed: int = 0
    eval_batch_size: int = 1024
    dataset: str | None = None
    """The named set (`seqsweep data list`) whose files these are; None for one's own."""
    train: str | None = None
    val: str | None = None
    test: str | None = None
    val_share: float = 0.1
    """Held out of the training records where there is no `val`."""
    test_share: float = 0.1
    """Held out of the training records where there is no `test`."""
    split_by: str = "row"
    split_seed: int = 0
    max_length: int = 10_000
    """Steps that a sequence may have."""
    too_long: str = "refuse"
    """What becomes of longer ones: ``refuse`` or ``cut``, which keeps their beginning."""

    splits_by: ClassVar[Sequence[str]] = SPLITS
    """Values of `split_by` that the kind has a meaning for."""
    loading: ClassVar[frozenset[str]] = frozenset()
    """Arguments that do not change what is prepared."""
    kept: ClassVar[Sequence[str]] = ("test",)
    """Parts that are loaded where what the training part taught is given."""

    def __post_init__(self) -> None:
        """Check the arguments that all kinds have."""
        super().__init__(self.batch_size, self.root, self.seed, self.eval_batch_size)
        if self.train is None:
            raise ConfigError("train=null: expected a file to train on")
        for name in ("val_share", "test_share"):
            setattr(self, name, checks.probability(name, getattr(self, name)))
        checks.one_of("split_by", self.split_by, self.splits_by)
        checks.int_at_least(0, "split_seed", self.split_seed)
        checks.positive_int("max_length", self.max_length)
        checks.one_of("too_long", self.too_long, ("refuse", "cut"))
        self._given: Fitted | None = None
        self._fitted: Fitted | None = None

    # ------------------------------------------------------------ what a kind says

    @abstractmethod
    def read(self, path: Path, labelled: bool = True) -> RecordsT:
        """The file's records; without `labelled` their answers are not asked for.

        Raises DataError, which names the file and the row.
        """

    @abstractmethod
    def fit(self, train: RecordsT) -> Fitted:
        """What the training part teaches. Raises DataError where nothing can be learnt from it."""

    @abstractmethod
    def encode(self, records: RecordsT, fitted: Fitted) -> dict[str, np.ndarray]:
        """The records as arrays, none of them empty. Raises DataError for what `fitted` does not know."""

    @abstractmethod
    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """A part's arrays, as `encode` made them, as examples; nothing is copied."""

    @abstractmethod
    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """What a model and a task must know."""

    @abstractmethod
    def facts(self, fitted: Fitted) -> str:
        """What was inferred, in one line for the user."""

    def write(self, records: RecordsT, predictions: Sequence[Any], file: TextIO) -> None:
        """Put down the task's predictions, one for each record, in a form like that of the files read."""
        raise NotImplementedError

    # ------------------------------------------------------------ what all have

    @property
    def fitted(self) -> Fitted:
        """What the training part taught; loads the data at the first use, unless it was given."""
        if self._given is not None:
            return self._given
        _ = self.splits
        assert self._fitted is not None
        return self._fitted

    def use(self, fitted: Fitted) -> None:
        """Take what a run was trained with in place of learning anew; only what is `kept` is loaded then."""
        self._given = fitted

    def load(self) -> Splits:
        """The three parts, mapped from the cache. Raises DataError for a missing or malformed file."""
        sources = self._sources()
        arrays = prepared(
            type(self).__name__.lower(),
            lambda: self._build(sources),
            options=self._options(),
            sources=[file for path in sources.values() for file in self.belonging(path)],
        )
        self._fitted = json.loads(bytes(arrays.pop("fitted").numpy()))
        parts = {
            part: self.examples(
                {
                    name.removeprefix(f"{part}_"): array
                    for name, array in arrays.items()
                    if name.startswith(f"{part}_")
                },
                self._fitted,
            )
            for part in PARTS
            if any(name.startswith(f"{part}_") for name in arrays)
        }
        nothing = parts["test"].between(0, 0)
        spec = self.describe_to_models(self._fitted)
        return Splits(spec, **{part: parts.get(part, nothing) for part in PARTS})

    def unlabelled(self, path: Path) -> tuple[RecordsT, Examples]:
        """A file to make predictions for, its records and its examples, whose targets mean nothing.

        Raises DataError, as `read` and `encode` do.
        """
        records = self.read(path, labelled=False)
        if len(records) == 0:
            raise DataError(f"{path}: holds no examples")
        return records, self.unknown(records)

    def unknown(self, records: RecordsT) -> Examples:
        """Examples of records to make predictions for, whose targets mean nothing; raises as `encode`."""
        import torch

        fitted = self.fitted
        arrays = {name: torch.from_numpy(array) for name, array in self.encode(records, fitted).items()}
        return self.examples(arrays, fitted)

    def sample(self, count: int) -> RecordsT:
        """The first records of the validation part (without one, of the training part), read anew.

        Raises DataError where a file is gone.
        """
        sources = self._sources()
        chosen = {"val": sources["val"]} if "val" in sources else sources
        parts = self.divided({part: self._filled(path) for part, path in chosen.items()})
        records = next(parts[part] for part in ("val", "train") if len(parts.get(part, ())))
        return records.take(np.arange(min(count, len(records))))

    def summary(self) -> str:
        """The size of each part and what was inferred, in one line."""
        return f"{super().summary()}; {self.facts(self.fitted)}"

    def limited(self, sequence: Sequenced, place: str) -> Sequenced:
        """`sequence`, or its beginning, if it is no longer than `max_length`; else DataError."""
        if len(sequence) <= self.max_length:
            return sequence
        if self.too_long == "cut":
            return sequence[: self.max_length]  # type: ignore[return-value]
        raise DataError(
            f"{place}: {len(sequence):,} steps, more than data.max_length={self.max_length}; "
            "raise it, or set data.too_long=cut"
        )

    @property
    def label(self) -> str:
        """What the data is called."""
        assert self.train is not None
        return self.dataset or Path(self.train).name.partition(".")[0]

    def find(self, option: str, name: str) -> Path:
        """The file or folder that ``data.<option>`` names. Raises DataError if there is none."""
        if self.dataset is not None:
            return files.require(self.root / self.dataset, name, origin(self.dataset))
        here = Path(name).expanduser().absolute()
        for folder in (here.parent, (self.root / name).parent):
            found = files.find(folder, here.name)
            if found is not None:
                return found
        raise DataError(
            f"data.{option}={name}: there is no such file, neither in {here.parent} nor in {self.root}"
        )

    def belonging(self, path: Path) -> list[Path]:
        """The files that are read with `path`: itself, or all in the folder."""
        return files.under(path)

    def _sources(self) -> dict[str, Path]:
        named = {part: getattr(self, part) for part in PARTS}
        alone = self._given is not None and self.test is not None
        if alone and "train" not in self.kept:
            named = {"test": self.test}
        try:
            return {part: self.find(part, name) for part, name in named.items() if name is not None}
        except DataError:
            if not alone:
                raise
        return {"test": self.find("test", str(self.test))}

    def _options(self) -> dict[str, Any]:
        left_out = {"batch_size", "root", "seed", "eval_batch_size", *self.loading}
        options = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out
        }
        if self._given is not None:
            text = json.dumps(self._given, sort_keys=True)
            options["given"] = hashlib.sha256(text.encode()).hexdigest()
        return options

    def _build(self, sources: Mapping[str, Path]) -> dict[str, np.ndarray]:
        read = {part: self._filled(path) for part, path in sources.items()}
        parts = self.divided(read)
        fitted = self._given if self._given is not None else self.fit(parts["train"])
        if self._given is not None:
            parts = {part: records for part, records in parts.items() if part in self.kept}
        arrays = {
            f"{part}_{name}": array
            for part, records in parts.items()
            for name, array in self.encode(records, fitted).items()
        }
        arrays["fitted"] = np.frombuffer(json.dumps(fitted).encode(), np.uint8)
        return arrays

    def _filled(self, path: Path) -> RecordsT:
        records = self.read(path)
        if len(records) == 0:
            raise DataError(f"{path}: holds no examples")
        return records

    def divided(self, read: Mapping[str, RecordsT]) -> dict[str, RecordsT]:
        """The parts that have files, and those held out of the training records.

        Overridden by kinds whose files hold several parts, or whose parts differ in more than records.
        """
        missing = [part for part in ("test", "val") if part not in read and "train" in read]
        shares = {part: getattr(self, f"{part}_share") for part in missing}
        if not shares:
            return dict(read)
        try:
            index = divide(read["train"], shares, by=self.split_by, seed=self.split_seed)
        except ValueError as error:
            raise DataError(f"{self.find('train', str(self.train))}: {error}") from error
        return {**read, **{part: read["train"].take(rows) for part, rows in index.items()}}
