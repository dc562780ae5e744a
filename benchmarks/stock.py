"""The sweep of left_behind.py as one writes it with Lightning, MLFlowLogger and Optuna alone.

.venv/bin/python benchmarks/stock.py
"""

from __future__ import annotations

import lightning as L
import optuna
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

TRIALS, EPOCHS, TRACKING = 6, 8, "sqlite:///mlflow.db"
SPACE = {"hidden_size": [32, 64], "lr": [0.0003, 0.003, 0.01]}


class Classifier(L.LightningModule):
    def __init__(self, hidden_size: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.gru = nn.GRU(8, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 10)

    def _step(self, batch: list[torch.Tensor], part: str) -> torch.Tensor:
        inputs, targets = batch
        logits = self.head(self.gru(inputs)[0][:, -1])
        loss = cross_entropy(logits, targets)
        accuracy = (logits.argmax(-1) == targets).float().mean()
        self.log_dict({f"{part}/loss": loss, f"{part}/accuracy": accuracy})
        return loss

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: list[torch.Tensor], _: int) -> None:
        self._step(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams["lr"])


class Pruning(Callback):
    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.trial.report(float(trainer.callback_metrics["val/accuracy"]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def loaders() -> list[DataLoader]:
    images, labels = load_digits(return_X_y=True)
    data = torch.tensor(images, dtype=torch.float32).reshape(-1, 8, 8) / 16, torch.tensor(labels)
    rest, test = train_test_split(range(len(labels)), test_size=360, stratify=labels, random_state=0)
    train, val = train_test_split(rest, test_size=300, stratify=labels[rest], random_state=0)
    parts = [TensorDataset(*(each[part] for each in data)) for part in (train, val, test)]
    return [DataLoader(part, batch_size=32, shuffle=part is parts[0]) for part in parts]


def objective(trial: optuna.Trial) -> float:
    L.seed_everything(0, verbose=False)
    model = Classifier(**{name: trial.suggest_categorical(name, values) for name, values in SPACE.items()})
    logger = MLFlowLogger("stock", run_name=f"trial {trial.number}", tracking_uri=TRACKING, log_model=True)
    best = ModelCheckpoint(monitor="val/accuracy", mode="max")
    trainer = L.Trainer(
        max_epochs=EPOCHS, logger=logger, callbacks=[best, Pruning(trial)], log_every_n_steps=10,
        gradient_clip_val=1.0, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    train, val, test = loaders()
    trainer.fit(model, train, val)
    trainer.test(model, test, ckpt_path="best", verbose=False)
    return float(best.best_model_score)


if __name__ == "__main__":
    study = optuna.create_study(
        study_name="stock", storage="sqlite:///optuna.db", direction="maximize", load_if_exists=True,
        sampler=optuna.samplers.GridSampler(SPACE, seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=2),
    )  # fmt: skip
    over = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    if len(study.get_trials(states=over)) < TRIALS:
        study.optimize(objective, callbacks=[MaxTrialsCallback(TRIALS, states=over)])
    for plot in (
        "plot_optimization_history",
        "plot_param_importances",
        "plot_intermediate_values",
        "plot_slice",
    ):
        getattr(optuna.visualization, plot)(study).write_html(f"{plot}.html")
