"""Streams: one long sequence read in several places at once, stretch after stretch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.data.batch import Batch
from seqsweep.data.batches import Batches
from seqsweep.data.jagged import Jagged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from seqsweep.data.batch import Examples


class Streams(Batches):
    """Batches over one long sequence, in order, so that a state can be carried from each to the next.

    The sequence is cut into `columns` pieces of equal length, which lie side by side in
    every batch; batch k has the kth `steps` steps of each. So row c of a batch goes on where
    row c of the batch before ended. Less than `columns` steps remain at the sequence's end: with
    `rest` they are the last batch, which has one row and goes on where the last column ended;
    without they are left out.

    With a `part` (k, n) it hands out the kth of n groups of columns, k from 0.

    Args:
        examples: a single one, whose targets are a sequence of its inputs' length.
        columns: pieces read side by side.
        steps: of a batch; the last one may have fewer.
        rest: whether the last few steps are read too.
        part: see above.

    Raises:
        ValueError: there are fewer steps than columns.

    """

    def __init__(
        self,
        examples: Examples,
        columns: int,
        steps: int,
        *,
        rest: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(examples, columns, part=part)
        self.steps = checks.positive_int("steps", steps)
        self._inputs, self._targets = _only(examples.inputs), _only(examples.targets)
        self._length = len(self._inputs) // columns
        if not self._length:
            raise ValueError(f"{len(self._inputs)} steps cannot be cut into {columns} columns")
        self._rest = rest and len(self._inputs) % columns > 0

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return -(-self._length // self.steps) + self._rest

    def __iter__(self) -> Iterator[Batch]:
        """One pass over the sequence."""
        epoch = self.sampler.epoch
        for place in range(self._start(epoch), len(self)):
            self._place = (epoch, place + 1)
            yield self._batch(place)

    def _batch(self, place: int) -> Batch:
        start = place * self.steps
        if start >= self._length:
            done = self.batch_size * self._length
            return Batch(self._inputs[done:].long().view(1, -1), self._targets[done:].long().view(1, -1))
        stop = min(start + self.steps, self._length)
        inputs, weight = self._columns(self._inputs, start, stop)
        targets, _ = self._columns(self._targets, start, stop)
        return Batch(inputs, targets, weight=weight)

    def _columns(self, sequence: Tensor, start: int, stop: int) -> tuple[Tensor, float]:
        """Steps `start` to `stop` of this part's columns (columns x steps), and what they count."""
        number, of = self.part
        columns = sequence[: self.batch_size * self._length].view(self.batch_size, self._length)
        own = columns.tensor_split(of)[number]
        weight = of * len(own) / self.batch_size
        return (own if len(own) else columns[:1])[:, start:stop].long(), weight


def _only(column: Tensor | Jagged) -> Tensor:
    """The one sequence there is, as a view."""
    assert isinstance(column, Jagged)
    (start,), (length,) = column.starts.tolist(), column.lengths.tolist()
    return column.values[start : start + length]
