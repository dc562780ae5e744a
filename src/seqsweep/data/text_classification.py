"""TextClassification: texts with a label each."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import classes, labelled_text
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.labelled_text import Column, Columns
from seqsweep.data.records import Rows
from seqsweep.data.text import LEVELS, WORDS, TextCodec
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

FORMATS = ("auto", "csv", "tsv", "jsonl", "label_first", "folder")
SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
PARTS_OF_LABELS = ("whole", "coarse")


@dataclass(eq=False, repr=False)
class TextClassification(Corpus[Rows]):
    """Texts, one label each, as tokens.

    Formats of a file:

    csv           rows of a table, of which two columns count; texts that hold commas or line ends in quotes
    tsv           the same between tabs, where a quotation mark is one like any other
    jsonl         an object a line
    label_first   a label, `label_separator` and a text a line
    folder        a folder of .txt files, each a class that is named after it, a text a line

    Inputs are (batch, time) tokens, of which an empty text has one, ``<unk>``; targets
    are (batch,) classes.
    """

    _: KW_ONLY
    format: str = "auto"
    """``auto`` goes by the file's name."""
    text_column: Column | None = None
    """Its name (in JSON its key), or its number from 1 where there is no header; None to find it out."""
    label_column: Column | None = None
    label_separator: str = " "
    label_part: str = "whole"
    """``coarse`` keeps of a label what stands before its first colon. Both only for label_first."""
    encoding: str = "utf-8"
    level: str = "word"
    """What a token is: ``word``, ``character`` or ``subword``."""
    words: str = "whitespace"
    """How words are cut: ``whitespace``, or ``punctuation`` too."""
    lowercase: bool = False
    min_count: int = 2
    """Tokens that occur less often in training are ``<unk>``, which is thereby trained."""
    vocabulary_size: int | None = None
    """Tokens at most; None for no limit, of subwords 8,000."""

    splits_by = ("row", "time")

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.one_of("format", self.format, FORMATS)
        checks.one_of("label_part", self.label_part, PARTS_OF_LABELS)
        checks.one_of("level", self.level, LEVELS)
        checks.one_of("words", self.words, WORDS)
        checks.positive_int("min_count", self.min_count)
        if not self.label_separator:
            raise ConfigError("label_separator=: expected what stands between label and text, such as ' '")

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """The file's texts and labels."""
        form = self._format(path)
        known: Fitted = {} if labelled else self.fitted
        if form == "folder":
            return labelled_text.read_folder(path, self.encoding, labelled)
        if form == "label_first":
            coarse = self.label_part == "coarse"
            return labelled_text.read_label_first(
                path, self.encoding, self.label_separator, coarse, known.get("classes")
            )
        columns = Columns(*known.get("columns") or (self.text_column, self.label_column))
        if form == "jsonl":
            return labelled_text.read_jsonl(path, self.encoding, columns, labelled)
        return labelled_text.read_table(path, self.encoding, form, columns, labelled)

    def fit(self, train: Rows) -> Fitted:
        """The classes and the tokens."""
        assert train.labels is not None
        learnt = classes.learnt(train.labels, train.path)
        codec = TextCodec.fit(
            train.items,
            level=self.level,
            words=self.words,
            lowercase=self.lowercase,
            min_count=self.min_count,
            vocabulary_size=self.vocabulary_size,
        )
        return {**learnt, "codec": codec.plain(), "columns": train.extra.get("columns")}

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Tokens one after the other, the texts' lengths, and their classes."""
        found = records.extra.get("columns")
        if records.labels is not None and found != fitted["columns"]:
            raise DataError(
                f"{records.path}: text and label are in columns {_written(found)}, but in "
                f"{_written(fitted['columns'])} in training; expected the same, or data.text_column=... "
                "data.label_column=..."
            )
        codec = TextCodec.from_plain(fitted["codec"])
        rows = [
            self.limited(codec.encode(text) or [codec.unknown], records.place(row))
            for row, text in enumerate(records.items)
        ]
        return {
            "tokens": np.concatenate(rows).astype(np.min_scalar_type(-len(codec))),
            "lengths": np.array([len(row) for row in rows]),
            "targets": np.zeros(len(rows), dtype=np.int16)
            if records.labels is None
            else classes.numbered(records.labels, fitted, records.place),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """Token sequences and classes."""
        return Examples(Jagged.of(arrays["tokens"], arrays["lengths"]), arrays["targets"])

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Vocabulary and classes."""
        return DataSpec(
            name=self.label,
            kind="classification",
            vocabulary_size=len(fitted["codec"]["tokens"]),
            output_size=len(fitted["classes"]),
            class_names=tuple(fitted["classes"]),
            class_counts=tuple(fitted["class_counts"]),
            level=fitted["codec"]["level"],
        )

    def facts(self, fitted: Fitted) -> str:
        """Classes, tokens, columns."""
        counts = [
            f"{name} {count:,}" for name, count in zip(fitted["classes"], fitted["class_counts"], strict=True)
        ]
        codec = fitted["codec"]
        where = f"; text and label in columns {_written(fitted['columns'])}" if fitted["columns"] else ""
        kinds = f"{len(counts)} classes ({classes.listed(counts, most=6)})"
        return f"{kinds}, {len(codec['tokens']):,} {codec['level']} tokens{where}"

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """The texts with their predicted labels and, but for label_first, how probable those are."""
        fitted, form = self.fitted, self._format(records.path)
        text, label = fitted["columns"] or (None, None)
        names = (text if isinstance(text, str) else "text", label if isinstance(label, str) else "label")
        rows = [
            (text, fitted["classes"][said["class"]], round(said["probabilities"][said["class"]], 6))
            for text, said in zip(records.items, predictions, strict=True)
        ]
        if form == "label_first":
            file.writelines(f"{label}{self.label_separator}{text}\n" for text, label, _ in rows)
        elif form == "jsonl":
            keys = (*names, "probability")
            file.writelines(
                json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
            )
        else:
            writer = labelled_text.table_writer(file, "tsv" if form == "tsv" else "csv")
            writer.writerows([(*names, "probability"), *rows])

    def _format(self, path: Path) -> str:
        if self.format != "auto":
            return self.format
        found = (
            "folder" if path.is_dir() else SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix.lower())
        )
        if found is None:
            raise DataError(
                f"{path}: its name does not say what format it has; expected data.format="
                f"{', '.join(FORMATS[1:-1])} or {FORMATS[-1]}"
            )
        return found


def _written(columns: Sequence[Column | None] | None) -> str:
    return "/".join(map(str, columns or ("none",)))
