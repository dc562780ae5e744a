from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from seqsweep.data import Digits, Examples
from seqsweep.errors import ConfigError


def rows(examples: Examples) -> list[tuple[bytes, int]]:
    return [
        (bytes(image.flatten().tolist()), int(label))
        for image, label in zip(examples.inputs, examples.targets, strict=True)
    ]


def test_the_spec_says_rows_of_pixels() -> None:
    spec = Digits().spec
    assert (spec.input_size, spec.max_length, spec.output_size) == (8, 8, 10)
    assert spec.class_names == tuple("0123456789")


def test_the_parts_are_a_partition_of_scikit_learns_images() -> None:
    from sklearn.datasets import load_digits

    splits = Digits().splits
    parts = [splits.train, splits.val, splits.test]
    assert [len(part) for part in parts] == [1137, 300, 360]
    images, labels = load_digits(return_X_y=True)
    everything = sorted(
        (bytes(image.astype("uint8")), int(label)) for image, label in zip(images, labels, strict=True)
    )
    assert sorted(row for part in parts for row in rows(part)) == everything


def test_every_part_has_each_class_in_proportion() -> None:
    splits = Digits().splits
    for part in (splits.train, splits.val, splits.test):
        shares = torch.bincount(part.targets, minlength=10) / len(part)
        assert torch.all((shares - 0.1).abs() < 0.01)


def test_batches_hold_numbers_from_0_to_1() -> None:
    batch = next(iter(Digits(batch_size=64).train_dataloader()))
    assert batch.inputs.shape == (64, 8, 8)
    assert batch.inputs.dtype == torch.float32
    assert (float(batch.inputs.min()), float(batch.inputs.max())) == (0.0, 1.0)
    assert batch.targets.dtype == torch.int64
    assert batch.lengths is None


def test_the_split_depends_on_its_seed_only() -> None:
    assert rows(Digits(seed=1).splits.test) == rows(Digits(seed=2).splits.test)
    assert rows(Digits(split_seed=1).splits.test) != rows(Digits().splits.test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": -1}, "batch_size=-1: expected an integer of at least 1"),
        ({"eval_batch_size": 0}, "eval_batch_size=0: expected an integer of at least 1"),
        ({"validation_size": 0}, "validation_size=0: expected an integer of at least 1"),
        ({"validation_size": 1437}, "validation_size=1437: expected fewer than the 1437 examples"),
        ({"test_size": 1797}, "test_size=1797: expected fewer than the 1797 examples"),
        ({"split_seed": "a"}, "split_seed=a: expected an integer of at least 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Digits(**options)


def test_a_prepared_set_is_loaded_fast() -> None:
    Digits().setup()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        Digits().setup()
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.05


def test_a_prepared_set_is_loaded_without_scikit_learn() -> None:
    Digits().setup()
    code = "import sys; from seqsweep.data import Digits; Digits().setup(); print('sklearn' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
