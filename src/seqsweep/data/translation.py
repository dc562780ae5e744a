"""Sentences and their translations, from two aligned files or from one of two columns."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import files
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.data.text import TextCodec
from seqsweep.data.vocabulary import BEGIN, END
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

EMPTY = ("refuse", "drop")


@dataclass(eq=False, repr=False)
class Translation(Corpus[Rows]):
    """Pairs of a source and a target text, one a line.

    With ``source=de`` and ``target=en``, ``train=news`` are the two files news.de and
    news.en, whose lines belong together; exchanging the two words turns the direction
    round. Without them a file has two columns with a tab between them, source first.
    Predictions are made for a file of source texts alone.

    Inputs are (batch, time) tokens; targets are (batch, time) tokens with an end marker
    and without a begin marker, whose index the spec gives.
    """

    _: KW_ONLY
    eval_batch_size: int = 128
    source: str | None = None
    """The end of the source files' names; None for files of two columns."""
    target: str | None = None
    """The end of the target files' names."""
    encoding: str = "utf-8"
    level: str = "word"
    """What a token is, on both sides: ``word``, ``character`` or ``subword``."""
    words: str = "whitespace"
    """How words are cut: at ``whitespace``, or at ``punctuation`` marks too."""
    lowercase: bool = False
    min_count: int = 1
    """Tokens that occur less often in training are unknown ones."""
    vocabulary_size: int | None = None
    """Tokens of a side at most; None for no limit, which for subwords means 8,000."""
    shared_vocabulary: bool = False
    """One vocabulary, learnt from both sides together."""
    empty: str = "refuse"
    """What becomes of pairs with nothing on one side: ``refuse`` or ``drop``."""

    splits_by = ("row", "time")
    tight = True

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.one_of("empty", self.empty, EMPTY)
        if (self.source is None) != (self.target is None):
            given, lacking = ("source", "target") if self.target is None else ("target", "source")
            raise ConfigError(
                f"{lacking}=null: expected the end of a file's name, as {given}={getattr(self, given)} is"
            )

    def find(self, option: str, name: str) -> Path:
        """The source file that ``data.<option>`` names, or the file of two columns."""
        return super().find(option, name if self.source is None else f"{name}.{self.source}")

    def belonging(self, path: Path) -> list[Path]:
        """The file, and the one aligned with it."""
        return [path] if self.source is None else [path, self._aligned(path)]

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """The file's pairs. Raises DataError where lines do not match, or have nothing on one side."""
        lines = files.read_lines(path, self.encoding)
        if not labelled:
            pairs = [(line.partition("\t")[0] if self.source is None else line, "") for line in lines]
        elif self.source is None:
            pairs = [_columns(path, number, line) for number, line in enumerate(lines, start=1)]
        else:
            pairs = self._paired(path, lines)
        return self._without_empty(path, pairs, labelled)

    def fit(self, train: Rows) -> Fitted:
        """The two vocabularies and the longest texts."""
        sources, targets = zip(*train.items, strict=True)
        if self.shared_vocabulary:
            source = target = self._codec([*sources, *targets], (BEGIN, END))
        else:
            source, target = self._codec(sources, ()), self._codec(targets, (BEGIN, END))
        return {
            "source": source.plain(),
            "target": target.plain(),
            "longest": [self._longest(source, sources), self._longest(target, targets)],
            "dropped": train.extra["dropped"],
        }

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Both sides' tokens, one text after the other, and their lengths."""
        source, target = _codecs(fitted)
        inputs, targets = [], []
        for row, (text, translation) in enumerate(records.items):
            inputs.append(self.limited(source.encode(text), f"{records.place(row)}, source"))
            answer = self.limited(target.encode(translation), f"{records.place(row)}, target")
            targets.append([*answer, target.index[END]])
        return {**_flat("input", inputs, len(source)), **_flat("target", targets, len(target))}

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """Pairs of token sequences."""
        return Examples(
            Jagged.of(arrays["inputs"], arrays["input_lengths"]),
            Jagged.of(arrays["targets"], arrays["target_lengths"]),
        )

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Two vocabularies; targets are sequences."""
        source, target = _codecs(fitted)
        return DataSpec(
            name=self.label,
            kind="seq2seq",
            vocabulary_size=len(source),
            output_size=len(target),
            max_length=fitted["longest"][0],
            target_max_length=fitted["longest"][1] + 1,
            input_names=source.tokens,
            class_names=target.tokens,
            begin_index=target.index[BEGIN],
            end_index=target.index[END],
            level=target.level,
        )

    def facts(self, fitted: Fitted) -> str:
        """How many tokens there are, and how long the texts."""
        source, target = _codecs(fitted)
        longest = " and ".join(map(str, fitted["longest"]))
        dropped = f"; {fitted['dropped']:,} training pairs with an empty side left out" * (
            fitted["dropped"] > 0
        )
        return (
            f"{len(source):,} source and {len(target):,} target tokens ({target.level}), "
            f"texts of up to {longest}{dropped}"
        )

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """A translation a line."""
        file.writelines(f"{text}\n" for text in self.texts(predictions))

    def texts(self, predictions: Sequence[Any]) -> list[str]:
        """The generated tokens as text."""
        _, target = _codecs(self.fitted)
        return [target.decode(tokens) for tokens in predictions]

    def _codec(self, texts: Iterable[str], specials: Sequence[str]) -> TextCodec:
        return TextCodec.fit(
            texts,
            level=self.level,
            words=self.words,
            lowercase=self.lowercase,
            min_count=self.min_count,
            vocabulary_size=self.vocabulary_size,
            specials=specials,
        )

    def _longest(self, codec: TextCodec, texts: Iterable[str]) -> int:
        return min(self.max_length, max(len(codec.split(text)) for text in texts))

    def _aligned(self, path: Path) -> Path:
        """The target file beside the source file `path`."""
        name = f"{path.name.removesuffix('.gz').removesuffix(str(self.source))}{self.target}"
        found = files.find(path.parent, name)
        if found is None:
            raise DataError(
                f"{path.parent / name}: there is no such file, which data.target={self.target} "
                f"puts beside {path.name}"
            )
        return found

    def _paired(self, path: Path, lines: list[str]) -> list[tuple[str, str]]:
        aligned = self._aligned(path)
        others = files.read_lines(aligned, self.encoding)
        if len(lines) != len(others):
            raise DataError(
                f"{path}: {len(lines):,} lines, but {aligned.name} has {len(others):,}; "
                "expected a translation for each line"
            )
        return list(zip(lines, others, strict=True))

    def _without_empty(self, path: Path, pairs: list[tuple[str, str]], labelled: bool) -> Rows:
        """The pairs with something on both sides, as far as the file has two."""
        full = [bool(source.strip()) and (bool(target.strip()) or not labelled) for source, target in pairs]
        dropped = full.count(False)
        if dropped and (self.empty == "refuse" or not labelled):
            first = full.index(False) + 1
            mend = "; data.empty=drop leaves such pairs out" if labelled else ""
            raise DataError(
                f"{path}, line {first}: nothing to translate, or no translation"
                f" ({dropped:,} such lines in all){mend}"
            )
        kept = [row for row, whole in enumerate(full) if whole]
        return Rows(
            path,
            [pairs[row] for row in kept],
            [f"line {row + 1}" for row in kept],
            extra={"dropped": dropped},
        )


def _codecs(fitted: Fitted) -> tuple[TextCodec, TextCodec]:
    return TextCodec.from_plain(fitted["source"]), TextCodec.from_plain(fitted["target"])


def _columns(path: Path, number: int, line: str) -> tuple[str, str]:
    cells = line.split("\t") if line.strip() else ["", ""]
    if len(cells) != 2:
        raise DataError(
            f"{path}, line {number}: expected 2 columns, source and target with a tab between them, found "
            f"{len(cells)}; for two aligned files set data.source and data.target to the ends of their names"
        )
    return cells[0], cells[1]


def _flat(side: str, rows: list[list[int]], vocabulary: int) -> dict[str, np.ndarray]:
    """All rows one after the other, in the smallest type that will do, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int64)
    dtype = np.int16 if vocabulary <= np.iinfo(np.int16).max else np.int32
    values = np.fromiter(chain.from_iterable(rows), dtype, int(lengths.sum()))
    return {f"{side}s": values, f"{side}_lengths": lengths}
