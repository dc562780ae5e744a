"""Plain text, whose next token is to be told."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch

from seqsweep import checks
from seqsweep.data import files
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import PARTS, Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.data.streams import Streams
from seqsweep.data.text import TextCodec, join
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from seqsweep.data.batches import Batches
    from seqsweep.data.module import Splits

END_OF_LINE = "<eos>"


@dataclass(frozen=True)
class Passage:
    """A file's text, or a passage of it: characters, or lines."""

    path: Path
    pieces: Sequence[str]

    def __len__(self) -> int:
        """How many characters or lines there are."""
        return len(self.pieces)

    def take(self, index: np.ndarray) -> Passage:
        """The passage from the first of `index` to the last."""
        return replace(self, pieces=self.pieces[index[0] : index[-1] + 1] if len(index) else [])

    def place(self, row: int) -> str:
        """The file."""
        return str(self.path)

    def strata(self) -> None:
        """Nothing: a passage is not drawn, it goes on."""

    def grouped(self) -> None:
        """Nothing."""


@dataclass(eq=False, repr=False)
class LanguageModelling(Corpus[Passage | Rows]):
    """A text as one long sequence of tokens; the target at each is the token after it.

    Words and subwords come with ``<eos>`` at the end of every line, which is counted and
    predicted like any other (so WikiText is counted); among characters the line's end is one itself.

    Training reads `batch_size` places of the text side by side, `bptt` tokens a batch, in order, so
    that a state can be carried from batch to batch (`Streams`); the last tokens, fewer than
    `batch_size`, are left out. Validation and test read `eval_batch_size` places so and leave nothing
    out; at each place but the first the model begins without what stands before, so the number
    is part of what a perplexity means, if a small one.

    Without a file a part is the end of the training text, the test part the very last.
    Predictions go on from prompts, one a line.

    Inputs and targets are (batch, time) tokens.
    """

    _: KW_ONLY
    eval_batch_size: int = 10
    split_by: str = "time"
    bptt: int = 35
    """Tokens of a batch's rows, through which the gradient goes back."""
    encoding: str = "utf-8"
    level: str = "word"
    """What a token is: ``word``, ``character`` or ``subword``."""
    words: str = "whitespace"
    """How words are cut: at ``whitespace``, or at ``punctuation`` marks too."""
    lowercase: bool = False
    min_count: int = 1
    """Tokens that occur less often in training are unknown ones."""
    vocabulary_size: int | None = None
    """Tokens at most; None for no limit, which for subwords means 8,000."""

    splits_by = ("time",)
    loading = frozenset({"bptt"})

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        checks.positive_int("bptt", self.bptt)

    def read(self, path: Path, labelled: bool = True) -> Passage | Rows:
        """The file's text; or its lines, which are prompts, if not `labelled`."""
        if not labelled:
            lines = files.read_lines(path, self.encoding)
            return Rows(path, lines, [f"line {number}" for number in range(1, len(lines) + 1)])
        if self.level == "character":
            return Passage(path, files.read_text(path, self.encoding).replace("\r\n", "\n"))
        return Passage(path, files.read_lines(path, self.encoding))

    def fit(self, train: Passage | Rows) -> Fitted:
        """The vocabulary."""
        assert isinstance(train, Passage)
        codec = TextCodec.fit(
            _lines(train),
            level=self.level,
            words=self.words,
            lowercase=self.lowercase,
            min_count=self.min_count,
            vocabulary_size=self.vocabulary_size,
            specials=() if self.level == "character" else (END_OF_LINE,),
        )
        return {"codec": codec.plain()}

    def encode(self, records: Passage | Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """The text's tokens one after the other; of prompts their lengths as well."""
        codec = TextCodec.from_plain(fitted["codec"])
        dtype = np.int16 if len(codec) <= np.iinfo(np.int16).max else np.int32
        if isinstance(records, Rows):
            prompts = [self._prompt(records, row, codec) for row in range(len(records))]
            lengths = np.array([len(prompt) for prompt in prompts], np.int64)
            return {"tokens": np.fromiter(chain(*prompts), dtype), "lengths": lengths}
        end = [] if self.level == "character" else [codec.index[END_OF_LINE]]
        tokens = chain.from_iterable([*codec.encode(line), *end] for line in _lines(records))
        made = np.fromiter(tokens, dtype)
        if len(made) < 2:
            raise DataError(f"{records.path}: a single token to read, and none to predict after it")
        return {"tokens": made}

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """The text as a single example, or the prompts, whose targets mean nothing."""
        tokens = arrays["tokens"]
        if "lengths" in arrays:
            prompts = Jagged.of(tokens, arrays["lengths"])
            return Examples(prompts, prompts)
        length = torch.tensor([len(tokens) - 1])
        return Examples(
            Jagged(tokens, torch.tensor([0]), length), Jagged(tokens, torch.tensor([1]), length.clone())
        )

    def load(self) -> Splits:
        """The three parts. Raises DataError as `Corpus` does, and for a text shorter than the batch."""
        splits = super().load()
        tokens = _tokens(splits.train)
        if 0 < tokens <= self.batch_size:
            raise ConfigError(
                f"data.batch_size={self.batch_size}: expected less than {tokens}, the tokens of the training "
                "text, which is read in so many places at once"
            )
        return splits

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """One vocabulary, read and predicted."""
        codec = TextCodec.from_plain(fitted["codec"])
        return DataSpec(
            name=self.label,
            kind="language_modelling",
            vocabulary_size=len(codec),
            output_size=len(codec),
            per_step=True,
            input_names=codec.tokens,
            class_names=codec.tokens,
            level=codec.level,
        )

    def facts(self, fitted: Fitted) -> str:
        """What is counted, and how many different ones there are; padding is none of them."""
        return f"tokens ({self.level}), {len(fitted['codec']['tokens']) - 1:,} different ones"

    def describe(self) -> dict[str, str | int]:
        """Name, and the tokens of each part."""
        splits = self.splits
        return {"name": splits.spec.name, **{part: _tokens(getattr(splits, part)) for part in PARTS}}

    def train_dataloader(self) -> Batches:
        """Stretches of the training text, in order."""
        return Streams(self.placed(self.splits.train), self.batch_size, self.bptt, part=self.part)

    def val_dataloader(self) -> Batches:
        """Stretches of the validation text, in order."""
        return self._evaluated(self.splits.val)

    def test_dataloader(self) -> Batches:
        """Stretches of the test text, in order."""
        return self._evaluated(self.splits.test)

    def write(self, records: Passage | Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """Each prompt and how it goes on, with an empty line between one and the next."""
        assert isinstance(records, Rows)
        between = "" if self.level == "character" else " "
        texts = [
            f"{prompt}{between}{more}"
            for prompt, more in zip(records.items, self.continuations(predictions), strict=True)
        ]
        file.write("\n\n".join(texts) + "\n")

    def continuations(self, predictions: Sequence[Any]) -> list[str]:
        """What the task adds to each prompt, as text."""
        tokens = TextCodec.from_plain(self.fitted["codec"]).tokens
        return [
            join(["\n" if tokens[index] == END_OF_LINE else tokens[index] for index in generated], self.level)
            for generated in predictions
        ]

    def _evaluated(self, part: Examples) -> Batches:
        examples = self.placed(part)
        columns = min(self.eval_batch_size, _tokens(examples) - 1)
        return Streams(examples, columns, self.bptt, rest=True)

    def _prompt(self, records: Rows, row: int, codec: TextCodec) -> list[int]:
        tokens = codec.encode(records.items[row])
        if not tokens:
            raise DataError(f"{records.place(row)}: empty, expected the beginning of a text")
        return self.limited(tokens, records.place(row))


def _lines(passage: Passage) -> Iterable[str]:
    """The text in small pieces, which are together all of it."""
    if isinstance(passage.pieces, str):
        return passage.pieces.splitlines(keepends=True)
    return passage.pieces


def _tokens(part: Examples) -> int:
    """How many tokens the text of a part has."""
    assert isinstance(part.inputs, Jagged)
    return int(part.inputs.lengths.sum()) + len(part)
