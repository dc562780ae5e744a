"""MnistRows: MNIST's images, read row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqsweep import checks
from seqsweep.catalogue import origin
from seqsweep.data import files
from seqsweep.data.batch import Examples
from seqsweep.data.idx import read_idx
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.data.splitting import check_held_out
from seqsweep.errors import DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import os
    from pathlib import Path

SIDE = 28
BRIGHTEST = 255
FILES = {
    "train_inputs": "train-images-idx3-ubyte",
    "train_targets": "train-labels-idx1-ubyte",
    "test_inputs": "t10k-images-idx3-ubyte",
    "test_targets": "t10k-labels-idx1-ubyte",
}


class MnistRows(SequenceData):
    """Images of 28 x 28 pixels, read as 28 rows (time) of 28 pixels in [0, 1]; 10 classes.

    The four IDX files are looked for in ``<root>/mnist/``, plain or gzipped. The
    last `validation_size` of the 60,000 training images, in the file's order, are
    for validation; the 10,000 test images are the test part.

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """

    def __init__(
        self,
        batch_size: int = 128,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
        *,
        validation_size: int = 5000,
    ) -> None:
        super().__init__(batch_size, root, seed, eval_batch_size)
        self.validation_size = checks.positive_int("validation_size", validation_size)

    def load(self) -> Splits:
        """The three parts, mapped from the cache. Raises DataError for a missing or malformed file."""
        folder = self.root / "mnist"
        sources = {key: files.require(folder, name, origin("mnist")) for key, name in FILES.items()}
        arrays = prepared("mnist", lambda: _build(sources), sources=list(sources.values()))
        known = Examples(arrays["train_inputs"], arrays["train_targets"], divisor=BRIGHTEST)
        check_held_out(len(known), validation_size=self.validation_size)
        first_held = len(known) - self.validation_size
        return Splits(
            DataSpec(
                name="mnist_rows",
                input_size=SIDE,
                output_size=10,
                max_length=SIDE,
                class_names=tuple("0123456789"),
            ),
            train=known.between(0, first_held),
            val=known.between(first_held, len(known)),
            test=Examples(arrays["test_inputs"], arrays["test_targets"], divisor=BRIGHTEST),
        )


def _build(sources: dict[str, Path]) -> dict[str, np.ndarray]:
    arrays = {}
    for part in ("train", "test"):
        images, labels = sources[f"{part}_inputs"], sources[f"{part}_targets"]
        arrays[f"{part}_inputs"] = _images(images)  # examples x time x features
        arrays[f"{part}_targets"] = _labels(labels, len(arrays[f"{part}_inputs"]), images)
    return arrays


def _images(path: Path) -> np.ndarray:
    images = read_idx(path, dimensions=3)
    if images.shape[1:] != (SIDE, SIDE) or len(images) == 0:
        found = " x ".join(map(str, images.shape))
        raise DataError(f"{path}: holds {found} values, expected images of {SIDE} x {SIDE}")
    return images


def _labels(path: Path, count: int, images: Path) -> np.ndarray:
    labels = read_idx(path, dimensions=1)
    if len(labels) != count:
        raise DataError(f"{path}: {len(labels)} labels for the {count} images of {images.name}")
    if labels.max() > 9:
        raise DataError(f"{path}: label {labels.max()}, expected 0 to 9")
    return labels.astype(np.int64)
