"""One run as a careful user of Lightning and MLFlowLogger writes it."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader

from speed.feeds import Table, Text
from speed.plain import Item, Learner


class Module(L.LightningModule):
    """Any of the plain networks."""

    def __init__(self, learner: Learner, lr: float) -> None:
        super().__init__()
        self.learner, self.lr = learner, lr

    def on_train_epoch_start(self) -> None:
        self.learner.begin()

    def on_validation_epoch_start(self) -> None:
        self.learner.begin()

    def training_step(self, batch: Item, _: int) -> torch.Tensor:
        loss = self.learner.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Item, _: int) -> None:
        for name, (value, weight) in self.learner.judge(batch).items():
            self.log(f"val/{name}", value, batch_size=weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Clock(Callback):
    """When the fit began and its last validation ended, and what each measured."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.history: list[dict[str, float]] = []

    def on_train_start(self, *_: Any) -> None:
        self.began = time.time()

    def on_validation_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.history.append({name: value for name, value in values.items() if name.startswith("val/")})
        self.ended = time.time()


def fit(
    learner: Learner,
    feed: Table | Text,
    *,
    epochs: int,
    lr: float,
    clip: float,
    monitor: str,
    folder: Path,
    uri: str | None = None,
    every: int = 1,
    device: str = "cpu",
) -> tuple[dict[str, Any], str]:
    """Train; what the clock says, and the id of the run in MLflow."""
    quiet()
    clock = Clock()
    logger = MLFlowLogger("stock", tracking_uri=uri or f"sqlite:///{folder / 'mlflow.db'}")
    logger.log_hyperparams({"lr": lr, "epochs": epochs, "clip": clip})
    best = ModelCheckpoint(folder, monitor=monitor, mode="min" if "loss" in monitor else "max")
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        logger=logger,
        callbacks=[clock, best],
        log_every_n_steps=every,
        gradient_clip_val=clip,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(learner, lr), feed.loader(), DataLoader(feed.val, batch_size=None))  # type: ignore[arg-type]
    told = {"seconds": clock.ended - clock.began, "steps": trainer.global_step, "history": clock.history}
    return told | {"began": clock.began, "ended": clock.ended}, str(logger.run_id)


def quiet() -> None:
    """Say nothing that a table has no place for."""
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
