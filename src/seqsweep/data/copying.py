"""CopyMemory: symbols to be said again after a long wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqsweep import checks
from seqsweep.data.batch import Examples
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.errors import ConfigError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import os

PADDING, BLANK, GO = 0, 1, 2
"""Input tokens before the symbols; nothing is padded."""
MOST_SYMBOLS = 200


class CopyMemory(SequenceData):
    """Read `length` symbols, wait `delay` steps, say them again in order when told to.

    The input is the symbols, `delay` - 1 blanks, a go sign and `length` blanks; the
    target, a class a step, is `delay` + `length` blanks and then the symbols. So all but the last
    `length` steps are right without any memory: knowing when, but not what, gives a
    cross-entropy of ``length * log(symbols) / (delay + 2 * length)`` nats a step, 0.173 by
    default, and an accuracy of the last steps of 1 in `symbols`.

    The examples are drawn here by `split_seed`, so there is no file to look for and `root`
    plays no role.

    Source: Hochreiter and Schmidhuber 1997, in the form of Arjovsky et al. 2016, section 4.1
    (T is `delay`).
    """

    def __init__(
        self,
        batch_size: int = 32,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
        *,
        delay: int = 100,
        length: int = 10,
        symbols: int = 8,
        train_size: int = 50_000,
        validation_size: int = 1_000,
        test_size: int = 5_000,
        split_seed: int = 0,
    ) -> None:
        super().__init__(batch_size, root, seed, eval_batch_size)
        self.delay = checks.positive_int("delay", delay)
        self.length = checks.positive_int("length", length)
        self.symbols = checks.int_at_least(2, "symbols", symbols)
        if symbols > MOST_SYMBOLS:
            raise ConfigError(f"symbols={symbols}: expected at most {MOST_SYMBOLS}")
        self.train_size = checks.positive_int("train_size", train_size)
        self.validation_size = checks.positive_int("validation_size", validation_size)
        self.test_size = checks.positive_int("test_size", test_size)
        self.split_seed = checks.int_at_least(0, "split_seed", split_seed)

    def load(self) -> Splits:
        """The three parts, mapped from the cache."""
        sizes = {"train": self.train_size, "val": self.validation_size, "test": self.test_size}
        shape = {"delay": self.delay, "length": self.length, "symbols": self.symbols}
        options = {**shape, **sizes, "split_seed": self.split_seed}
        arrays = prepared("copymemory", lambda: self._build(sizes), options=options)
        parts = {part: Examples(arrays[f"{part}_inputs"], arrays[f"{part}_targets"]) for part in sizes}
        return Splits(self._spec(tuple(arrays["class_counts"].tolist())), **parts)

    def _spec(self, class_counts: tuple[int, ...]) -> DataSpec:
        return DataSpec(
            name="copy_memory",
            kind="tagging",
            vocabulary_size=GO + 1 + self.symbols,
            output_size=1 + self.symbols,
            max_length=self.delay + 2 * self.length,
            per_step=True,
            class_names=("blank", *[str(symbol + 1) for symbol in range(self.symbols)]),
            class_counts=class_counts,
            padding_index=PADDING,
        )

    def _build(self, sizes: dict[str, int]) -> dict[str, np.ndarray]:
        arrays = {}
        for number, (part, size) in enumerate(sizes.items()):
            random = np.random.default_rng([self.split_seed, number])
            drawn = random.integers(1, self.symbols + 1, (size, self.length), dtype=np.uint8)
            arrays[f"{part}_inputs"], arrays[f"{part}_targets"] = lay_out(drawn, self.delay)
        arrays["class_counts"] = np.bincount(arrays["train_targets"].ravel(), minlength=1 + self.symbols)
        return arrays


def lay_out(drawn: np.ndarray, delay: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols (count, length), numbered from 1, as inputs and targets (count, delay + 2 * length) uint8."""
    count, length = drawn.shape
    inputs = np.full((count, delay + 2 * length), BLANK, np.uint8)
    inputs[:, :length] = drawn + GO
    inputs[:, length + delay - 1] = GO
    targets = np.zeros_like(inputs)
    targets[:, -length:] = drawn
    return inputs, targets
