"""The data as a PyTorch user has it: tensors in memory, and DataLoaders for Lightning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from speed.plain import Item

if TYPE_CHECKING:
    from seqsweep.data import Batches, Examples, SequenceData


@dataclass
class Table:
    """Examples side by side, padded where their lengths differ, in the batches that ours come in."""

    columns: Item
    order: Any
    """`seqsweep.data.batches.Order`, or whatever says which examples make up which batch of an epoch."""
    val: list[Item]

    def batches(self, epoch: int) -> Iterator[Item]:
        """An epoch's."""
        columns = self.columns
        for index in self.order.batches(epoch):
            rows = Item(*[None if column is None else column[index] for column in columns])
            yield Item(
                _trimmed(rows.inputs, rows.lengths), _trimmed(rows.targets, rows.target_lengths), *rows[2:]
            )

    def __len__(self) -> int:
        return len(self.order)

    def loader(self) -> DataLoader[Any]:
        """The training examples one by one, put together by a DataLoader."""
        inputs, targets, lengths, target_lengths = self.columns
        rows = [
            (
                inputs[row] if lengths is None else inputs[row, : lengths[row]],
                targets[row] if target_lengths is None else targets[row, : target_lengths[row]],
            )
            for row in range(len(inputs))
        ]
        padded = lengths is not None or target_lengths is not None
        return DataLoader(rows, batch_sampler=InOrder(self.order), collate_fn=_padded if padded else _stacked)  # type: ignore[arg-type]


@dataclass
class Text:
    """One text, read in several places side by side."""

    inputs: Tensor
    targets: Tensor
    steps: int
    val: list[Item]

    def batches(self, epoch: int) -> Iterator[Item]:
        """An epoch's: all are the same."""
        for start in range(0, self.inputs.shape[1], self.steps):
            yield Item(*(side[:, start : start + self.steps] for side in (self.inputs, self.targets)))

    def __len__(self) -> int:
        return len(range(0, self.inputs.shape[1], self.steps))

    def loader(self) -> DataLoader[Any]:
        """The same by a DataLoader."""
        return DataLoader(list(self.batches(0)), batch_size=None)  # type: ignore[arg-type]


@dataclass
class InOrder:
    """A DataLoader's batches as `sampler` has them in the epoch that Lightning sets."""

    sampler: Any

    def __iter__(self) -> Iterator[list[int]]:
        return (index.tolist() for index in self.sampler.batches())

    def __len__(self) -> int:
        return len(self.sampler)


def feed(data: SequenceData, device: str) -> Table | Text:
    """A built run's data."""
    from seqsweep.data.streams import Streams

    loader = data.train_dataloader()
    val = [_item(batch.to(device)) for batch in data.val_dataloader()]
    if isinstance(loader, Streams):
        whole = [_item(batch.to(device)) for batch in loader]
        inputs, targets = (torch.cat(parts, 1) for parts in ([b[side] for b in whole] for side in (0, 1)))
        return Text(inputs, targets, loader.steps, val)
    return Table(_all(loader, device), loader.sampler, val)


def _all(loader: Batches, device: str) -> Item:
    examples: Examples = loader.examples
    return _item(examples.cut(torch.arange(len(examples))).to(device))


def _item(batch: Any) -> Item:
    notes = batch.targets.ndim == 3  # keys that sound, 0 or 1
    targets = batch.targets.float() if notes else batch.targets
    return Item(batch.inputs, targets, batch.lengths, batch.target_lengths)


def _trimmed(rows: Tensor, lengths: Tensor | None) -> Tensor:
    return rows if lengths is None else rows[:, : int(lengths.max())]


def _stacked(rows: list[tuple[Tensor, Tensor]]) -> Item:
    return Item(*(torch.stack(side) for side in zip(*rows, strict=True)))


def _padded(rows: list[tuple[Tensor, Tensor]]) -> Item:
    sides = list(zip(*rows, strict=True))
    lengths = (torch.tensor([len(row) for row in side]) for side in sides)
    return Item(*(pad_sequence(list(side), batch_first=True) for side in sides), *lengths)
