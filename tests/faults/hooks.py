"""The callback that brings a fault into a trial; a study's configuration names it.

trainer:
  callbacks:
    hang: {_target_: faults.hooks.Fault, name: hang, strike: hang, trial: 3, epoch: 1, batch: 7}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from faults import strikes


class Fault(Callback):
    """Strikes in one trial, before one batch of one epoch, in every attempt or only so many `times`."""

    def __init__(
        self, name: str, strike: str, trial: int, epoch: int, batch: int, times: int | None = None
    ) -> None:
        self.name, self.what, self.times = name, strike, times
        self.place = (trial, epoch, batch)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        folder = Path(trainer.default_root_dir)
        if (int(folder.name), trainer.current_epoch, batch_idx) == self.place:
            self.strike(folder, pl_module)

    def strike(self, folder: Path, module: LightningModule) -> None:
        strikes.strike(folder, self.name, self.what, self.times)


class NotANumber(Fault):
    """The weights become not-a-number, and so does every loss from then on."""

    def __init__(self, name: str, trial: int, epoch: int, batch: int) -> None:
        super().__init__(name, "nothing", trial, epoch, batch)

    def strike(self, folder: Path, module: LightningModule) -> None:
        strikes.strike(folder, self.name, self.what)
        with torch.no_grad():
            for weight in module.parameters():
                weight.fill_(float("nan"))
