"""Batches, the in-memory loader, and Order, which fixes what comes when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from seqsweep import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seqsweep.data.batch import Batch, Examples

POOL, TIGHT_POOL = 50, 200
"""Examples of like length are brought together within a pool of about so many batches."""


class Order:
    """Which examples make up which batch, as a function of (seed, epoch) only.

    With `shuffle` every epoch has its own permutation. With `cost` (examples,),
    the number of steps of each example or whatever puts like beside like
    (`Examples.cost`), batches hold examples of like cost to save padding: a
    permutation is cut into pools of about `pool` batches, each pool sorted, and the
    batches permuted again. Without `shuffle` the examples come as they are.

    Lightning finds this object as its loader's ``sampler`` and sets the epoch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        cost: Tensor | None = None,
        pool: int = POOL,
    ) -> None:
        self.count = checks.int_at_least(0, "count", count)
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.seed = checks.int_at_least(0, "seed", seed)
        self.shuffle = shuffle
        self.epoch = 0
        self.pool = checks.positive_int("pool", pool)
        self._cost = None if cost is None else cost.cpu().numpy()

    def __len__(self) -> int:
        """The number of batches of an epoch; the last one may be smaller."""
        return (self.count + self.batch_size - 1) // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next pass over the data belongs to."""
        self.epoch = epoch

    def batches(self, epoch: int | None = None) -> list[Tensor]:
        """The indices of each batch, (batch,) int64, in `epoch` or the one that is set."""
        if self.count == 0:
            return []
        if not self.shuffle:
            return self._split(torch.arange(self.count))
        random = self._generator(self.epoch if epoch is None else epoch)
        index = random.permutation(self.count)
        if self._cost is None:
            return self._split(torch.from_numpy(index))
        batches = self._split(torch.from_numpy(self._pooled(index, self._cost)))
        return [batches[place] for place in random.permutation(len(batches))]

    def _generator(self, epoch: int) -> np.random.Generator:
        # Its own stream: neither reads nor moves the global generators of numpy, torch or the trial.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))

    def _pooled(self, index: np.ndarray, cost: np.ndarray) -> np.ndarray:
        number = max(1, round(len(self) / self.pool))
        pool = -(-len(self) // number) * self.batch_size
        pools = [index[start : start + pool] for start in range(0, len(index), pool)]
        return np.concatenate([part[np.argsort(cost[part], kind="stable")] for part in pools])

    def _split(self, index: Tensor) -> list[Tensor]:
        return list(torch.split(index, self.batch_size))


class Batches:
    """Cuts `Batch` after `Batch` from tensors in memory; no DataLoader, no workers, no copying of the whole.

    Each pass goes over all examples once, in the order of the epoch that
    `set_epoch` set. It may be handed to a Lightning Trainer, which sets the epoch
    itself and keeps the place within it in its checkpoints: a run resumed at
    epoch k, or within it, sees the batches that an undisturbed one would see.
    If `tight`, more padding is saved, at the price of batches that differ less from epoch to epoch.
    With a `part` (k, n) it hands out the kth of n parts of each batch, k from 0.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
        tight: bool = False,
    ) -> None:
        self.examples = examples
        self.part = part
        cost = (examples.cost_of_both if tight else examples.cost) if shuffle else None
        pool = TIGHT_POOL if tight else POOL
        self.sampler = Order(len(examples), batch_size, shuffle=shuffle, seed=seed, cost=cost, pool=pool)
        self.batch_sampler = None  # Lightning looks for it wherever it finds a sampler
        self._place = (0, 0)  # epoch, and how many of its batches have been handed out
        self._resumed: tuple[int, int] | None = None

    @property
    def batch_size(self) -> int:
        """The largest number of examples in a batch."""
        return self.sampler.batch_size

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        """One pass over the examples, in the order of the epoch set when the first batch is taken.

        A generator, because Lightning asks for the iterator before it sets the epoch.
        """
        epoch = self.sampler.epoch
        batches = self.sampler.batches(epoch)
        for place in range(self._start(epoch), len(batches)):
            self._place = (epoch, place + 1)
            yield self.examples.part(batches[place], *self.part)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass: it alone, with the seed, decides the order."""
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """The place in the data, for a checkpoint: the epoch and how many of its batches were handed out."""
        epoch, done = self._place
        return {"epoch": epoch, "batches": done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass, if it is over the same epoch, begin where `state` was taken."""
        self._resumed = (state["epoch"], state["batches"])
        self._place = self._resumed

    def _start(self, epoch: int) -> int:
        resumed, self._resumed = self._resumed, None
        return resumed[1] if resumed is not None and resumed[0] == epoch else 0
