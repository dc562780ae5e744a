from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from seqsweep.data import MnistRows
from seqsweep.data.mnist import FILES
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

TRAIN, TEST = 12, 5


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with four small files in upstream's form."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("test", TEST)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / FILES[f"{part}_inputs"]).write_bytes(idx(images))
        (folder / FILES[f"{part}_targets"]).write_bytes(idx(np.arange(count, dtype=np.uint8) % 10))
    return folder.parent


def load(root: Path) -> None:
    MnistRows(root=root, validation_size=2).setup()


def test_the_last_training_images_are_for_validation(root: Path) -> None:
    splits = MnistRows(root=root, validation_size=2).splits
    assert splits.train.targets.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert splits.val.targets.tolist() == [0, 1]
    assert splits.test.targets.tolist() == [0, 1, 2, 3, 4]


def test_batches_hold_rows_of_numbers_from_0_to_1(root: Path) -> None:
    data = MnistRows(root=root, batch_size=4, validation_size=2)
    raw = np.frombuffer((root / "mnist" / FILES["test_inputs"]).read_bytes(), np.uint8, offset=16)
    (batch,) = data.test_dataloader()
    assert batch.inputs.shape == (TEST, 28, 28)
    assert torch.equal(batch.inputs.flatten(), torch.tensor(raw.astype(np.float32)) / 255)
    assert (data.spec.input_size, data.spec.max_length, data.spec.output_size) == (28, 28, 10)


def test_gzipped_files_give_the_same(root: Path) -> None:
    plain = MnistRows(root=root, validation_size=2).splits
    for path in list((root / "mnist").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = MnistRows(root=root, validation_size=2).splits
    assert torch.equal(plain.train.inputs, packed.train.inputs)
    assert torch.equal(plain.test.targets, packed.test.targets)


def test_a_changed_file_is_prepared_again(root: Path) -> None:
    load(root)
    (root / "mnist" / FILES["test_targets"]).write_bytes(idx(np.full(TEST, 7, dtype=np.uint8)))
    assert MnistRows(root=root, validation_size=2).splits.test.targets.tolist() == [7] * TEST


def test_a_missing_file_is_named_with_the_ways_on(root: Path) -> None:
    (root / "mnist" / FILES["test_targets"]).unlink()
    with pytest.raises(DataError) as raised:
        load(root)
    message = str(raised.value)
    for part in (FILES["test_targets"], str(root / "mnist"), "https://", "data.root=", "SEQSWEEP_DATA"):
        assert part in message
    assert "\n" not in message


IMAGES = idx(np.zeros((TEST, 28, 28), dtype=np.uint8))


@pytest.mark.parametrize(
    ("key", "name", "content", "message"),
    [
        ("test_inputs", "", idx(np.zeros(TEST, np.uint8)).ljust(99), "magic number 2049, expected 2051"),
        ("test_inputs", "", b"<html>404 Not Found</html>", "magic number 1013478509, expected 2051"),
        ("test_inputs", "", b"\0\0", "2 bytes are too few for an IDX file"),
        ("test_inputs", "", b"", "0 bytes are too few for an IDX file"),
        ("test_inputs", "", IMAGES[:-1], "promises 5 x 28 x 28 = 3920 values, the file holds 3919"),
        ("test_inputs", "", IMAGES + b"\0", "promises 5 x 28 x 28 = 3920 values, the file holds 3921"),
        ("test_inputs", "", struct.pack(">4I", 2051, *[2**32 - 1] * 3), "the file holds 0"),
        ("test_inputs", "", idx(np.zeros((5, 8, 8), np.uint8)), "expected images of 28 x 28"),
        ("test_inputs", "", idx(np.zeros((0, 28, 28), np.uint8)), "holds 0 x 28 x 28 values"),
        ("test_targets", "", idx(np.zeros(4, np.uint8)), "4 labels for the 5 images of t10k-images"),
        ("test_targets", "", idx(np.full(TEST, 10, np.uint8)), "label 10, expected 0 to 9"),
        ("test_inputs", ".gz", gzip.compress(IMAGES, mtime=0)[:-10], "not a whole gzip file"),
        ("test_inputs", ".gz", gzip.compress(IMAGES, mtime=0)[:20] + bytes(30), "not a whole gzip file"),
        ("test_inputs", ".gz", IMAGES, "not a whole gzip file"),
        ("test_inputs", ".gz", b"", "0 bytes are too few"),
    ],
)
def test_a_malformed_file_is_named_with_what_is_wrong(
    root: Path, key: str, name: str, content: bytes, message: str
) -> None:
    plain = root / "mnist" / FILES[key]
    plain.unlink()
    broken = plain.with_name(plain.name + name)
    broken.write_bytes(content)
    with pytest.raises(DataError) as raised:
        load(root)
    assert str(raised.value).startswith(f"{broken}: ")
    assert message in str(raised.value)


def test_more_validation_images_than_there_are_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match="validation_size=12: expected fewer than the 12 examples"):
        MnistRows(root=root, validation_size=TRAIN).setup()


def test_the_published_files_load(real_data: Path) -> None:
    data = MnistRows(root=real_data)
    assert data.describe() == {"name": "mnist_rows", "train": 55_000, "val": 5_000, "test": 10_000}
    labels = torch.cat([data.splits.train.targets, data.splits.val.targets])
    assert torch.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
