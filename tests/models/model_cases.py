"""Small specs and batches for the tests of models and tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from seqsweep.data import Batch
from seqsweep.spec import DataSpec

NUMBERS = DataSpec(name="numbers", input_size=3, output_size=4)
TOKENS = DataSpec(name="tokens", vocabulary_size=7, output_size=4)
PAIRS = DataSpec(
    name="pairs",
    vocabulary_size=7,
    output_size=6,
    target_max_length=9,
    padding_index=0,
    begin_index=1,
    end_index=2,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(size: int = 5, time: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(size, time, 3, generator=generator(seed))


def tokens(size: int = 5, time: int = 6, seed: int = 0) -> Tensor:
    return torch.randint(1, 7, (size, time), generator=generator(seed))


def pairs(size: int = 4, seed: int = 0) -> Batch:
    """Sources of 2 to 5 tokens and targets of 2 to 7, end marker included, both padded."""
    random = generator(seed)
    lengths = torch.randint(2, 6, (size,), generator=random)
    target_lengths = torch.randint(2, 8, (size,), generator=random)
    inputs = torch.randint(1, 7, (size, int(lengths.max())), generator=random)
    targets = torch.randint(3, 6, (size, int(target_lengths.max())), generator=random)
    for row in range(size):
        inputs[row, lengths[row] :] = 0
        targets[row, target_lengths[row] - 1] = 2
        targets[row, target_lengths[row] :] = 0
    return Batch(inputs, targets, lengths, target_lengths)
