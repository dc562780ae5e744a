"""SequenceData, the base of every data module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule

from seqsweep import checks, paths
from seqsweep.data.batches import Batches
from seqsweep.data.prepared import Origin, noting_origins

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from seqsweep.data.batch import Examples
    from seqsweep.spec import DataSpec


@dataclass(frozen=True)
class Splits:
    """A loaded data set: its three parts and what a model must know about it."""

    spec: DataSpec
    train: Examples
    val: Examples
    test: Examples


class SequenceData(LightningDataModule):
    """A data set that fits in memory. A kind of corpus overrides `load`, and nothing else.

    `batch_size` is the number of examples a training step sees; validation and
    test use `eval_batch_size`, which changes no result. `root` is the folder that
    holds the named data sets (``data.root``, else ``SEQSWEEP_DATA``; see
    `seqsweep.paths.data_root`). `seed` and the epoch alone fix the order of the
    training examples. Raises ConfigError for a value that cannot be.
    """

    tight: ClassVar[bool] = False
    """Whether saving padding counts for more than variety among the training batches; see `Batches`."""

    def __init__(
        self,
        batch_size: int = 32,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
    ) -> None:
        super().__init__()
        self.batch_size = checks.positive_int("batch_size", batch_size)
        self.eval_batch_size = checks.positive_int("eval_batch_size", eval_batch_size)
        self.seed = checks.int_at_least(0, "seed", seed)
        self.root = paths.data_root(root)
        self.part = (0, 1)
        """(k, n): training sees the kth of n parts of each batch, k from 0, as one of n processes."""
        self.origins: list[Origin] = []
        """What the loaded data was prepared from; empty where it is not prepared by `prepared`."""
        self._splits: Splits | None = None

    @property
    def fitted(self) -> Mapping[str, Any]:
        """What the training part taught and predictions need again, as JSON has it."""
        return {}

    def use(self, fitted: Mapping[str, Any]) -> None:
        """Take what a run was trained with in place of learning anew."""

    def load(self) -> Splits:
        """The data set. Raises DataError where a file is missing or malformed."""
        raise NotImplementedError(f"{type(self).__name__} must override load()")

    @property
    def splits(self) -> Splits:
        """The loaded data set; loads it at the first use."""
        if self._splits is None:
            with noting_origins() as self.origins:
                self._splits = self.load()
        return self._splits

    @property
    def spec(self) -> DataSpec:
        """What a model and a task must know about the data; loads it at the first use."""
        return self.splits.spec

    def describe(self) -> dict[str, str | int]:
        """What a record of a run should say about the data: its name and the size of each part."""
        splits = self.splits
        return {
            "name": splits.spec.name,
            "train": len(splits.train),
            "val": len(splits.val),
            "test": len(splits.test),
        }

    def summary(self) -> str:
        """The data's name and the size of each part, in one line."""
        known = self.describe()
        return f"{known['name']}: {', '.join(f'{known[part]:,} {part}' for part in ('train', 'val', 'test'))}"

    def setup(self, stage: str | None = None) -> None:
        """Load the data, once, whatever the `stage`."""
        self._splits = self.splits

    def train_dataloader(self) -> Batches:
        """Batches of the training part, shuffled by (seed, epoch)."""
        train = self.placed(self.splits.train)
        return Batches(train, self.batch_size, shuffle=True, seed=self.seed, part=self.part, tight=self.tight)

    def val_dataloader(self) -> Batches:
        """Batches of the validation part, in order."""
        return Batches(self.placed(self.splits.val), self.eval_batch_size)

    def test_dataloader(self) -> Batches:
        """Batches of the test part, in order."""
        return Batches(self.placed(self.splits.test), self.eval_batch_size)

    def placed(self, examples: Examples) -> Examples:
        """The examples on the trainer's device, if it has a memory of its own that they leave mostly free."""
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if device.type != "cuda" or examples.bytes > torch.cuda.mem_get_info(device)[0] // 4:
            return examples
        return examples.to(device)
