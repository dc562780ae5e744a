"""`seqsweep.report` as a callback for any Lightning user's Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn

from seqsweep import checks, current
from seqsweep.errors import ConfigError, TrialPruned

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class ReportCallback(Callback):
    """Reports a metric of each validation to the study that runs this trial, at `Trainer.global_step`.

    Outside a study it does nothing, so it may stay among a Trainer's callbacks.
    With several processes the first one asks, and all of them follow the answer;
    the metric should then be logged with ``sync_dist=True``.

    Args:
        monitor: the metric's name, as the module logs it in validation.

    Raises:
        TrialPruned: out of ``Trainer.fit``, when the pruner says stop. Let it pass.
        ConfigError: validation does not log the metric.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, unless this is the sanity check or no part of a fit."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        error = self._report(trainer) if trainer.is_global_zero else None
        # What ends the first process has to end the others, which would wait for it for ever.
        error = trainer.strategy.broadcast(error)
        if error is not None:
            raise error

    def _report(self, trainer: Trainer) -> Exception | None:
        """What is to be raised, if anything."""
        if not current.in_study():
            return None
        logged = trainer.callback_metrics
        if self.monitor not in logged:
            known = ", ".join(logged) or "none"
            hint = checks.nearest(self.monitor, logged)
            return ConfigError(f"monitor={self.monitor}: expected a logged metric, which are {known}{hint}")
        try:
            current.report(float(logged[self.monitor]), trainer.global_step)
        except TrialPruned as stop:
            return stop
        return None
