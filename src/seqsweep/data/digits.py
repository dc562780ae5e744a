"""Digits: the handwritten digits that ship with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqsweep import checks
from seqsweep.data.batch import Examples
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.data.splitting import check_held_out, stratified_holdout
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import os

COUNT = 1797
SIDE = 8
BRIGHTEST = 16


class Digits(SequenceData):
    """1,797 images of 8 x 8 pixels, read as 8 rows (time) of 8 pixels in [0, 1]; 10 classes.

    They are part of scikit-learn, so there is no file to look for and `root` plays
    no role. `test_size` images and `validation_size` of the others are held out, each class
    in proportion, by a draw that depends on `split_seed` only: 1,137 / 300 / 360 by default.

    Source: Alpaydin and Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), its test set.
    """

    def __init__(
        self,
        batch_size: int = 32,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
        *,
        validation_size: int = 300,
        test_size: int = 360,
        split_seed: int = 0,
    ) -> None:
        super().__init__(batch_size, root, seed, eval_batch_size)
        self.validation_size = checks.positive_int("validation_size", validation_size)
        self.test_size = checks.positive_int("test_size", test_size)
        self.split_seed = checks.int_at_least(0, "split_seed", split_seed)
        check_held_out(COUNT, test_size=test_size, validation_size=validation_size)

    def load(self) -> Splits:
        """The three parts, mapped from the cache; scikit-learn is imported the first time only."""
        options = {
            "test_size": self.test_size,
            "validation_size": self.validation_size,
            "split_seed": self.split_seed,
        }
        arrays = prepared("digits", self._build, options=options)
        parts = {
            part: Examples(arrays[f"{part}_inputs"], arrays[f"{part}_targets"], divisor=BRIGHTEST)
            for part in ("train", "val", "test")
        }
        return Splits(self._spec(), **parts)

    def _spec(self) -> DataSpec:
        return DataSpec(
            name="digits",
            input_size=SIDE,
            output_size=10,
            max_length=SIDE,
            class_names=tuple("0123456789"),
        )

    def _build(self) -> dict[str, np.ndarray]:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        inputs = images.reshape(-1, SIDE, SIDE).astype(np.uint8)  # examples x time x features
        targets = labels.astype(np.int64)
        rest, test = stratified_holdout(targets, self.test_size, self.split_seed)
        train, val = stratified_holdout(targets[rest], self.validation_size, self.split_seed)
        arrays = {}
        for part, index in {"train": rest[train], "val": rest[val], "test": test}.items():
            arrays[f"{part}_inputs"] = inputs[index]
            arrays[f"{part}_targets"] = targets[index]
        return arrays
