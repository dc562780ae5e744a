"""Batch, what a task is given at each step, and Examples, what batches are cut from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Some examples side by side, padded to the longest of them.

    Written once and never changed: `to` makes another one.
    """

    inputs: Tensor
    """(batch, time, features) float32, or (batch, time) int64 tokens."""
    targets: Tensor
    """(batch,) int64 classes or float32 values, or (batch, target time) int64 tokens."""
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


@dataclass(frozen=True, eq=False, slots=True)
class Examples:
    """All examples of one split as tensors in memory, first dimension the example.

    `lengths` and `target_lengths` say how much of a padded row is true. Real
    inputs may be kept as small integers: a batch then holds ``inputs / divisor``
    as float32, so that images need a quarter of the memory.
    """

    inputs: Tensor
    """(examples, time, features), or (examples, time) tokens."""
    targets: Tensor
    """(examples,), or (examples, target time) tokens."""
    lengths: Tensor | None = None
    target_lengths: Tensor | None = None
    divisor: float | None = None
    """What integer inputs of (examples, time, features) are divided by."""

    def __post_init__(self) -> None:
        for name in ("targets", "lengths", "target_lengths"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.inputs):
                raise ValueError(f"{len(self.inputs)} inputs but {len(column)} {name}")

    def __len__(self) -> int:
        """How many examples there are."""
        return self.inputs.shape[0]

    @property
    def cost(self) -> Tensor | None:
        """(examples,) steps that padding is saved on: target lengths, else lengths; None without padding."""
        return self.lengths if self.target_lengths is None else self.target_lengths

    def between(self, start: int, stop: int) -> Examples:
        """The examples from `start` up to, not including, `stop`: views, nothing is copied."""
        return Examples(
            self.inputs[start:stop],
            self.targets[start:stop],
            None if self.lengths is None else self.lengths[start:stop],
            None if self.target_lengths is None else self.target_lengths[start:stop],
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

    def _true_targets(self, index: Tensor) -> int:
        """How many, up to a factor that is the same for all rows."""
        return len(index) if self.target_lengths is None else int(self.target_lengths[index].sum())

    def cut(self, index: Tensor) -> Batch:
        """The batch of the examples at `index` (batch,) int64, trimmed to their longest true length."""
        lengths = None if self.lengths is None else self.lengths.index_select(0, index)
        target_lengths = None if self.target_lengths is None else self.target_lengths.index_select(0, index)
        inputs = _trimmed(self.inputs, lengths).index_select(0, index)
        if self.divisor is not None:
            inputs = inputs.to(torch.float32).div_(self.divisor)
        return Batch(
            inputs,
            _trimmed(self.targets, target_lengths).index_select(0, index),
            lengths,
            target_lengths,
        )


def _trimmed(padded: Tensor, lengths: Tensor | None) -> Tensor:
    """`padded` without the steps that are padding in all the rows that `lengths` (batch,) is about."""
    return padded if lengths is None else padded[:, : int(lengths.max())]


def _true_steps(padded: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return torch.ones(padded.shape[:2], dtype=torch.bool, device=padded.device)
    steps = torch.arange(padded.shape[1], device=padded.device)  # time
    return steps < lengths.unsqueeze(1)  # batch x time
