"""Batches in Lightning's hands: it sets the epoch, and a resumed run sees what an undisturbed one sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from seqsweep.data import Batch, Examples, SequenceData, Splits
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from pathlib import Path

# Lightning 2.6.6's own use of a torch function that torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

BATCHES = 4


class Numbers(SequenceData):
    loads = 0

    def load(self) -> Splits:
        self.loads += 1
        examples = Examples(torch.zeros(20, 2, 1), torch.arange(20), torch.full((20,), 2))
        return Splits(DataSpec("numbers", output_size=20, input_size=1), examples, examples, examples)


class Watching(LightningModule):
    """Keeps the targets of each training batch, and trains one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []
        self.validated: list[int] = []

    def training_step(self, batch: Batch) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch.targets.tolist()))
        return (self.weight - batch.targets.float().mean()) ** 2

    def validation_step(self, batch: Batch) -> None:
        self.validated += batch.targets.tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class SaveAt(Callback):
    """Writes a checkpoint at the given hook of the given step, and stops the run there if asked."""

    def __init__(self, hook: str, step: int, path: Path) -> None:
        self.step, self.path, self.saved = step, path, False
        setattr(self, hook, self._save)

    def _save(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if trainer.global_step == self.step and not trainer.sanity_checking and not self.saved:
            self.saved = True
            trainer.save_checkpoint(self.path)


def fit(epochs: int, *callbacks: Callback, checkpoint: Path | None = None) -> Watching:
    model = Watching()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
    )
    trainer.fit(model, datamodule=Numbers(batch_size=6, seed=7), ckpt_path=checkpoint)
    return model


def test_lightning_sets_the_epoch() -> None:
    model = fit(3)
    order = Numbers(batch_size=6, seed=7).train_dataloader().sampler
    assert model.seen == [(epoch, batch.tolist()) for epoch in range(3) for batch in order.batches(epoch)]
    assert len({tuple(targets) for _, targets in model.seen}) > 2 * BATCHES


def test_validation_comes_in_order_every_time() -> None:
    assert fit(2).validated[-20:] == list(range(20))


@pytest.mark.parametrize(
    ("hook", "step"),
    [
        ("on_validation_end", 1 * BATCHES),
        ("on_validation_end", 2 * BATCHES),
        ("on_train_epoch_end", 2 * BATCHES),
        ("on_train_batch_end", 1),
        ("on_train_batch_end", 2 * BATCHES + 1),
        ("on_train_batch_end", 2 * BATCHES + 3),
    ],
)
def test_a_resumed_run_sees_what_an_undisturbed_one_sees(hook: str, step: int, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    undisturbed = fit(4, SaveAt(hook, step, path))
    resumed = fit(4, checkpoint=path)
    assert undisturbed.seen[step:] == resumed.seen
    assert torch.equal(undisturbed.weight, resumed.weight)


def test_loading_happens_once() -> None:
    data = Numbers(batch_size=6)
    data.setup()
    data.setup("fit")
    assert data.spec.name == "numbers"
    assert data.describe() == {"name": "numbers", "train": 20, "val": 20, "test": 20}
    assert data.loads == 1


def test_a_root_is_taken_from_the_argument_else_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQSWEEP_DATA", str(tmp_path / "named"))
    assert Numbers().root == tmp_path / "named"
    assert Numbers(root=os.fspath(tmp_path)).root == tmp_path
