from __future__ import annotations

import pytest
import torch

from seqsweep.data import Batch, Examples


def padded() -> Examples:
    return Examples(
        inputs=torch.tensor([[1, 2, 0, 0, 0], [3, 0, 0, 0, 0], [4, 5, 6, 7, 8]]),
        targets=torch.tensor([[1, 2, 0, 0], [1, 1, 1, 2], [2, 0, 0, 0]]),
        lengths=torch.tensor([2, 1, 5]),
        target_lengths=torch.tensor([2, 4, 1]),
    )


def test_a_batch_is_trimmed_to_its_longest_true_length() -> None:
    batch = padded().cut(torch.tensor([1, 0]))
    assert batch.inputs.tolist() == [[3, 0], [1, 2]]
    assert batch.targets.tolist() == [[1, 1, 1, 2], [1, 2, 0, 0]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [1, 2]
    assert batch.target_lengths is not None
    assert batch.target_lengths.tolist() == [4, 2]
    assert len(batch) == 2


def test_targets_are_trimmed_independently_of_inputs() -> None:
    batch = padded().cut(torch.tensor([2]))
    assert batch.inputs.shape == (1, 5)
    assert batch.targets.shape == (1, 1)


def test_masks_are_true_on_true_steps_only() -> None:
    batch = padded().cut(torch.tensor([1, 0]))
    assert batch.mask.tolist() == [[True, False], [True, True]]
    assert batch.target_mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_without_lengths_every_step_is_true() -> None:
    batch = Batch(torch.zeros(3, 4, 2), torch.zeros(3, dtype=torch.int64))
    assert batch.mask.tolist() == [[True] * 4] * 3
    assert batch.target_mask.tolist() == [True] * 3


def test_a_batch_owns_its_memory() -> None:
    examples = padded()
    batch = examples.cut(torch.arange(3))
    batch.inputs.zero_()
    assert examples.inputs[2].tolist() == [4, 5, 6, 7, 8]


def test_bytes_become_real_numbers_in_the_batch() -> None:
    examples = Examples(torch.tensor([[[0], [255]]], dtype=torch.uint8), torch.tensor([1]), divisor=255)
    batch = examples.cut(torch.tensor([0]))
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.flatten().tolist() == [0.0, 1.0]


def test_to_moves_every_tensor() -> None:
    batch = padded().cut(torch.arange(3)).to("meta")
    for tensor in (batch.inputs, batch.targets, batch.lengths, batch.target_lengths):
        assert tensor is not None
        assert tensor.device.type == "meta"
    assert Batch(torch.zeros(1, 1, 1), torch.zeros(1)).to("cpu").lengths is None


def test_between_gives_views_of_the_same_memory() -> None:
    examples = padded()
    part = examples.between(1, 3)
    assert len(part) == 2
    assert part.inputs.data_ptr() == examples.inputs[1:].data_ptr()
    assert part.lengths is not None
    assert part.lengths.tolist() == [1, 5]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 inputs but 2 targets"):
        Examples(torch.zeros(3, 1, 1), torch.zeros(2))
