"""Batch, what a task is given at each step, and Examples, what batches are cut from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqsweep.data.jagged import Jagged


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Some examples side by side, padded to the longest of them.

    Written once and never changed: `to` makes another one.
    """

    inputs: Tensor
    """(batch, time, features) float32, or (batch, time) int64 tokens, or (batch, time, 1 + characters)
    int64 words and their spelling."""
    targets: Tensor
    """(batch,) int64 classes, (batch, values) float32, (batch, target time) int64 tokens, or
    (batch, target time, values)."""
    lengths: Tensor | None = None
    """(batch,) int64, the true steps of each input; None means that all steps are true."""
    target_lengths: Tensor | None = None
    """(batch,) int64, the true steps of each target; None means that all of them are true."""
    weight: float = 1.0
    """What its loss counts in training: 1, unless it is one of the parts of a batch."""

    def __len__(self) -> int:
        """How many examples there are."""
        return self.inputs.shape[0]

    @property
    def mask(self) -> Tensor:
        """(batch, time) bool: which steps of `inputs` are true ones."""
        return _true_steps(self.inputs, self.lengths)

    @property
    def target_mask(self) -> Tensor:
        """(batch, target time) bool: which steps of `targets` are true ones; (batch,) for one target each."""
        if self.targets.ndim == 1:
            return torch.ones_like(self.targets, dtype=torch.bool)
        return _true_steps(self.targets, self.target_lengths)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return Batch(
            self.inputs.to(device),
            self.targets.to(device),
            None if self.lengths is None else self.lengths.to(device),
            None if self.target_lengths is None else self.target_lengths.to(device),
            self.weight,
        )


@dataclass(frozen=True, eq=False)
class Examples:
    """All examples of one split as tensors in memory, first dimension the example.

    Either dense, with `lengths` and `target_lengths` saying how much of a padded row
    is true, or `Jagged`, which knows that itself. Numbers may be kept in small types:
    integers become int64 in a batch, or with a `divisor` ``inputs / divisor`` as
    float32, so that images need a quarter of the memory.
    """

    inputs: Tensor | Jagged
    """(examples, time, features), or (examples, time) tokens."""
    targets: Tensor | Jagged
    """(examples, ...), or (examples, target time) tokens."""
    lengths: Tensor | None = None
    target_lengths: Tensor | None = None
    divisor: float | None = None
    """What integer inputs of (examples, time, features) are divided by."""

    def __post_init__(self) -> None:
        for name, column in (("lengths", self.inputs), ("target_lengths", self.targets)):
            if isinstance(column, Jagged) and not column.even:
                object.__setattr__(self, name, column.lengths)
        for name in ("targets", "lengths", "target_lengths"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.inputs):
                raise ValueError(f"{len(self.inputs)} inputs but {len(column)} {name}")

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.inputs)

    @property
    def cost(self) -> Tensor | None:
        """(examples,) steps that padding is saved on: target lengths, else lengths; None without padding."""
        return self.lengths if self.target_lengths is None else self.target_lengths

    @property
    def cost_of_both(self) -> Tensor | None:
        """(examples,) numbers in whose order examples of like lengths, on both sides, follow each other.

        Target lengths count first. Among those of one target length the lengths rise, and
        among those of the next they fall, so that there is no leap in them between the two.
        """
        if self.lengths is None or self.target_lengths is None:
            return self.cost
        falling = self.target_lengths % 2 == 1
        return (self.target_lengths << 32) + torch.where(falling, -self.lengths, self.lengths)

    @property
    def bytes(self) -> int:
        """The memory that inputs and targets take."""
        tables = [side.values if isinstance(side, Jagged) else side for side in (self.inputs, self.targets)]
        return sum(table.nbytes for table in tables)

    def between(self, start: int, stop: int) -> Examples:
        """The examples from `start` up to, not including, `stop`: views, nothing is copied."""
        return self._some(slice(start, stop))

    def take(self, index: Tensor) -> Examples:
        """The examples at `index`, in its order; of what is jagged nothing is copied."""
        return self._some(index)

    def to(self, device: torch.device | str) -> Examples:
        """The same on `device`, where batches are then cut."""
        return Examples(
            self.inputs.to(device),
            self.targets.to(device),
            None if self.lengths is None else self.lengths.to(device),
            None if self.target_lengths is None else self.target_lengths.to(device),
            self.divisor,
        )

    def part(self, index: Tensor, number: int, of: int) -> Batch:
        """One of the parts of the batch at `index` (batch,), as equal in size as can be.

        Weighted, the parts' losses have the loss of the whole batch for their mean, where a
        loss is itself a mean over true targets. A part without examples has one of no weight.
        """
        if of == 1:
            return self.cut(index)
        own = index.tensor_split(of)[number]
        weight = of * self._true_targets(own) / self._true_targets(index)
        return replace(self.cut(own if len(own) else index[:1]), weight=weight)

    def cut(self, index: Tensor) -> Batch:
        """The batch of the examples at `index` (batch,) int64, trimmed to their longest true length."""
        index = index.to((self.inputs.starts if isinstance(self.inputs, Jagged) else self.inputs).device)
        lengths = None if self.lengths is None else self.lengths.index_select(0, index)
        target_lengths = None if self.target_lengths is None else self.target_lengths.index_select(0, index)
        inputs = _widened(_rows(self.inputs, lengths, index), self.divisor)
        targets = _widened(_rows(self.targets, target_lengths, index))
        return Batch(inputs, targets, lengths, target_lengths)

    def _some(self, index: slice | Tensor) -> Examples:
        return Examples(
            self.inputs[index],
            self.targets[index],
            None if self.lengths is None else self.lengths[index],
            None if self.target_lengths is None else self.target_lengths[index],
            self.divisor,
        )

    def _true_targets(self, index: Tensor) -> int:
        """How many, up to a factor that is the same for all rows."""
        return len(index) if self.target_lengths is None else int(self.target_lengths[index].sum())


def _rows(column: Tensor | Jagged, lengths: Tensor | None, index: Tensor) -> Tensor:
    """The rows at `index`, without the steps that are padding in all of them."""
    if isinstance(column, Jagged):
        return column.padded(index)
    trimmed = column if lengths is None else column[:, : int(lengths.max())]
    return trimmed.index_select(0, index)


def _widened(table: Tensor, divisor: float | None = None) -> Tensor:
    """Integers as int64, or divided as float32; other numbers as float32."""
    if divisor is not None:
        return table.to(torch.float32).div_(divisor)
    return table.to(torch.float32 if table.is_floating_point() else torch.int64)


def _true_steps(padded: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return torch.ones(padded.shape[:2], dtype=torch.bool, device=padded.device)
    steps = torch.arange(padded.shape[1], device=padded.device)  # time
    return steps < lengths.unsqueeze(1)  # batch x time
