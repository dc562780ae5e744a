"""Jagged: sequences of unequal length in one table, padded only when a batch is cut."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Jagged:
    """Stretches of the rows of one table, told by where they start and how long they are.

    Nothing is copied until some of them are padded into a batch. Stretches may
    overlap, so that windows over a series, and streams cut into steps, cost no more
    memory than the series. (What ``torch.nested`` calls the jagged layout, with holes.)
    """

    values: Tensor
    """rows x ..., in any type that is small; see `Examples`."""
    starts: Tensor
    """(examples,) int64: the first row of each."""
    lengths: Tensor
    """(examples,) int64, each at least 1."""
    padding: int = 0

    @staticmethod
    def of(values: Tensor, lengths: Tensor, padding: int = 0) -> Jagged:
        """Stretches that stand in `values` one after the other."""
        ends = torch.cumsum(lengths, 0)
        return Jagged(values, ends - lengths, lengths.clone(), padding)

    @staticmethod
    def windows(values: Tensor, starts: Tensor, size: int) -> Jagged:
        """Stretches of `size` rows each."""
        return Jagged(values, starts, torch.full_like(starts, size))

    def __len__(self) -> int:
        """How many stretches there are."""
        return self.starts.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Jagged:
        """Some of the stretches; `values` is shared."""
        return Jagged(self.values, self.starts[index], self.lengths[index], self.padding)

    def to(self, device: torch.device | str) -> Jagged:
        """The same on `device`."""
        return Jagged(self.values.to(device), self.starts.to(device), self.lengths.to(device), self.padding)

    @property
    def even(self) -> bool:
        """Whether all stretches are of one length."""
        return len(self) == 0 or bool((self.lengths == self.lengths[0]).all())

    def padded(self, index: Tensor) -> Tensor:
        """The stretches at `index` (batch,), padded to the longest of them: batch x time x ..."""
        starts, lengths = self.starts[index].unsqueeze(1), self.lengths[index].unsqueeze(1)
        steps = torch.arange(int(lengths.max()), device=lengths.device)  # time
        true = steps < lengths  # batch x time
        rows = torch.where(true, starts + steps, starts)
        table = self.values.index_select(0, rows.flatten()).view(*rows.shape, *self.values.shape[1:])
        return table.masked_fill_(~true.view(*true.shape, *[1] * (table.ndim - 2)), self.padding)
