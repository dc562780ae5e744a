"""Adding: the adding problem, which asks for a memory over the whole sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqsweep import checks
from seqsweep.data.batch import Examples
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import os


class Adding(SequenceData):
    """Two of many numbers are marked; the answer is their sum.

    A step holds a number drawn from [0, 1) and a marker, which is 1 at one step of the
    first half of the sequence and at one of the second half, else 0. Always answering 1
    has a mean squared error of 1/6 = 0.167; what does better remembers. The examples are
    drawn here by `split_seed`, so there is no file to look for and `root` plays no role;
    neither a part nor the first examples of it change with the size of another.

    Source: Hochreiter and Schmidhuber 1997, experiment 4, in the form of Arjovsky et al. 2016, section 4.2.
    """

    def __init__(
        self,
        batch_size: int = 32,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
        *,
        length: int = 200,
        train_size: int = 50_000,
        validation_size: int = 1_000,
        test_size: int = 5_000,
        split_seed: int = 0,
    ) -> None:
        super().__init__(batch_size, root, seed, eval_batch_size)
        self.length = checks.int_at_least(2, "length", length)
        self.train_size = checks.positive_int("train_size", train_size)
        self.validation_size = checks.positive_int("validation_size", validation_size)
        self.test_size = checks.positive_int("test_size", test_size)
        self.split_seed = checks.int_at_least(0, "split_seed", split_seed)

    def load(self) -> Splits:
        """The three parts, mapped from the cache."""
        sizes = {"train": self.train_size, "val": self.validation_size, "test": self.test_size}
        options = {"length": self.length, "split_seed": self.split_seed, **sizes}
        arrays = prepared("adding", lambda: self._build(sizes), options=options)
        parts = {part: Examples(arrays[f"{part}_inputs"], arrays[f"{part}_targets"]) for part in sizes}
        return Splits(self._spec(), **parts)

    def _spec(self) -> DataSpec:
        return DataSpec(
            name="adding",
            kind="regression",
            input_size=2,
            output_size=1,
            max_length=self.length,
            target_names=("sum",),
            target_means=(0.0,),
            target_scales=(1.0,),
        )

    def _build(self, sizes: dict[str, int]) -> dict[str, np.ndarray]:
        arrays = {}
        for number, (part, size) in enumerate(sizes.items()):
            random = np.random.default_rng([self.split_seed, number])
            arrays[f"{part}_inputs"], arrays[f"{part}_targets"] = draw(size, self.length, random)
        return arrays


def draw(count: int, length: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` examples of `length` steps: inputs (count, length, 2) and targets (count, 1), both float32."""
    half = length // 2
    inputs, targets = np.zeros((count, length, 2), np.float32), np.empty((count, 1), np.float32)
    for example, target in zip(inputs, targets, strict=True):  # one by one: each follows those before alone
        example[:, 0] = random.random(length, np.float32)
        marked = [random.integers(half), random.integers(half, length)]
        example[marked, 1] = 1
        target[0] = example[marked, 0].sum()
    return inputs, targets
