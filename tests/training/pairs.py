"""Sequences to be written down again."""

from __future__ import annotations

import torch

from seqsweep.data import Examples, SequenceData, Splits
from seqsweep.spec import DataSpec


class Copying(SequenceData):
    """1 to 3 of four words, to be copied and ended. Padding 0, begin 1, end 2."""

    def __init__(self, batch_size: int = 16, seed: int = 0) -> None:
        super().__init__(batch_size, None, seed)

    def load(self) -> Splits:
        random = torch.Generator().manual_seed(0)
        lengths = torch.randint(1, 4, (384,), generator=random)
        words = torch.randint(3, 7, (384, 3), generator=random)
        inputs = words.masked_fill(torch.arange(3) >= lengths.unsqueeze(1), 0)
        targets = torch.cat([inputs, torch.zeros(384, 1, dtype=torch.int64)], dim=1)
        targets[torch.arange(384), lengths] = 2
        spec = DataSpec(
            name="copying",
            vocabulary_size=7,
            output_size=7,
            target_max_length=4,
            begin_index=1,
            end_index=2,
        )
        parts = {"train": slice(0, 320), "val": slice(320, 352), "test": slice(352, 384)}
        return Splits(
            spec,
            **{
                name: Examples(inputs[rows], targets[rows], lengths[rows], lengths[rows] + 1)
                for name, rows in parts.items()
            },
        )
