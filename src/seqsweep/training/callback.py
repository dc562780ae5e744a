"""The callback that turns a Lightning fit into a trial: it records, checkpoints, reports, stops."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Callback

from seqsweep.errors import ConfigError
from seqsweep.protocol import Interrupted
from seqsweep.training import folder, seeding
from seqsweep.training.epochs import EpochLoop, why_not
from seqsweep.training.outcomes import Stop
from seqsweep.training.parallel import Place
from seqsweep.training.progress import Progress

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

    from seqsweep.protocol import JobContext
    from seqsweep.tasks import Task
    from seqsweep.tracking import Tracker
    from seqsweep.training.goal import Goal


class TrialCallback(Callback):
    """Everything that is done around the steps of one run.

    An epoch ends with its validation; the metrics are recorded then. When the
    learning-rate schedule has been stepped too, at the turn to the next epoch or
    at the end of the fit, the checkpoint is written, and only then the value is
    reported. Where no report binds, and within an epoch, one is written every
    `checkpoint_seconds`, and before the run is left because it is interrupted. A run
    that is killed at any moment goes on from the last one as if nothing had happened.

    Of several processes that train together each has such a callback, and all are
    at the same place; the context is asked by the first, and the others follow.

    Args:
        context: the job's side of the executor.
        tracker: where metrics go.
        goal: what is best.
        seed: the trial's.
        every: optimiser steps from one recorded ``train/loss`` to the next.
        patience: validations without a better one after which the run is over; None for no such thing.
        record: plain data that the checkpoints carry.
        place: this process's, where several train together.

    """

    checkpoint_seconds = 60.0
    """The longest time that goes by without a checkpoint, validation and the like aside."""

    def __init__(
        self,
        context: JobContext,
        tracker: Tracker,
        goal: Goal,
        *,
        seed: int,
        every: int,
        patience: int | None = None,
        record: dict[str, Any],
        place: Place | None = None,
    ) -> None:
        self.progress = Progress()
        self._context = context
        self._tracker = tracker
        self._goal = goal
        self._seed = seed
        self._every = every
        self._patience = patience
        self._stopping = False
        self._record = record
        self._place = place or Place()
        self._generators: list[dict[str, Any]] = []
        self._losses: list[torch.Tensor] = []
        self._shared = 0
        self._validated = False
        self._improved = False
        self._turning = False
        self._stepped = 0
        self._started = 0.0
        self._saved = 0.0

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """What an exact continuation needs beyond Lightning's own state."""
        return {
            "progress": self.progress.state_dict() | {"seconds": self._elapsed()},
            "generators": self._generators,
            "losses": torch.stack(self._losses).cpu() if self._losses else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an interrupted attempt."""
        self.progress = Progress.from_state(state_dict["progress"])
        self._generators = state_dict["generators"]
        losses = state_dict["losses"]
        self._losses = [] if losses is None else list(losses)
        self._shared = len(self._losses)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Undo the one count by which Lightning is ahead at the turn of an epoch.

        The next epoch counts as ready but has not begun. Saved like that, Lightning
        would take it for a broken one on resuming and skip its batches.
        """
        epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]
        for count in (epoch["current"], epoch["total"]):
            count["ready"] = count["started"]

    # ------------------------------------------------------------ hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the task its generator; make good what a continuation's last attempt may have left."""
        task: Task = pl_module  # type: ignore[assignment]
        rank = self._place.rank
        task.generator = seeding.generator(
            self._seed, self._place.stream("masks"), trainer.strategy.root_device
        )
        if rank < len(self._generators):
            _set_state(task.generator, self._generators[rank]["masks"])
            torch.set_rng_state(self._generators[rank]["global"])
            task.carried = self._generators[rank]["carried"]
        self._losses = [loss.to(trainer.strategy.root_device) for loss in self._losses]
        self._started = self._saved = time.perf_counter()
        self._stop_if_stale(trainer)
        self._report(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See where the optimiser stands, which Lightning has only now read from the checkpoint."""
        self._stepped = trainer.global_step
        # A schedule that is told the run's steps has had the loader made before its place was known.
        trainer.fit_loop._load_combined_loader_states()
        loop = trainer.fit_loop.epoch_loop
        if isinstance(loop, EpochLoop):
            reason = why_not(trainer, ours=self)
            loop.whole = reason is None
            said = "an epoch at a time" if loop.whole else f"Lightning's own, since {reason}"
            self._tracker.set_tags({"seqsweep.steps": said})

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete what the epoch before left, now that its schedule has been stepped."""
        if trainer.current_epoch and self._turning:
            self._turn(trainer, pl_module)  # type: ignore[arg-type]
        self._losses, self._shared = [], 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; record it now and then; save now and then, and leave if asked to."""
        if trainer.fit_loop.restarting:
            # Else, in the epoch it resumed, Lightning would not step a schedule that waits for a plateau.
            trainer.fit_loop.restarting = False
        self.after_batch(trainer, pl_module, outputs["loss"])  # type: ignore[arg-type]

    def after_batch(self, trainer: Trainer, task: Task, loss: torch.Tensor) -> None:
        """The same, given what Lightning has made of the loss: divided by the batches that make a step."""
        step, of = trainer.global_step, trainer.accumulate_grad_batches
        stepped, self._stepped = step != self._stepped, step
        loss = loss if of == 1 else loss * of
        # only the last of a step's batches has a norm
        norm = task.gradient_norm.to(loss) if stepped else torch.full_like(loss, math.nan)
        measured = torch.stack([loss, norm])
        self._losses.append(measured)
        if not stepped or trainer.is_last_batch:  # the gradients or the epoch's end, and its mean, are due
            return
        if step % self._every == 0:
            loss, norm = self._mean(trainer, measured).unbind()
            self._tracker.log_metrics({"train/loss": loss, "train/gradient_norm": norm}, step)
        self._pause(trainer, task)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that this epoch has been validated."""
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch's means and see whether it is the best."""
        step = trainer.global_step
        self._share_losses(trainer)
        means = of_steps(torch.stack(self._losses)) if self._losses else {}
        if self._validated:
            means |= {
                name: float(value)
                for name, value in trainer.callback_metrics.items()
                if name.startswith("val/")
            }
        self._tracker.log_metrics(means, step)
        self.progress.check(self._goal, means, trainer.current_epoch + 1)
        if self._validated:
            self._improved = self.progress.judge(self._goal, means, step)
            self._stop_if_stale(trainer)
        self._validated, self._turning = False, True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete what the last epoch left."""
        if self._turning:
            self._turn(trainer, pl_module, over=True)  # type: ignore[arg-type]

    # ------------------------------------------------------------ steps

    def _report(self, trainer: Trainer) -> None:
        """Hand in the latest validation's value, unless that is done. Raises Stop if the answer is no."""
        if not self.progress.due(self._goal):
            return
        outcome = self.progress.hand_in(self._context) if trainer.is_global_zero else None
        outcome = trainer.strategy.broadcast(outcome)
        if outcome is not None:
            raise Stop(outcome)

    def _pause(self, trainer: Trainer, task: Task) -> None:
        """Write a checkpoint if it is time, and leave if asked to."""
        interrupted = self._context.interrupted
        if not self._any(trainer, interrupted or self._late()):
            return
        # A loader without a state begins its epoch again, so that the turn's checkpoint stays the last.
        if hasattr(trainer.train_dataloader, "load_state_dict"):
            self._save(trainer, task)
        if self._any(trainer, interrupted):
            raise Stop(Interrupted())

    def _late(self) -> bool:
        return time.perf_counter() - self._saved >= self.checkpoint_seconds

    def _any(self, trainer: Trainer, said: bool) -> bool:
        """Whether one of the processes says so."""
        return trainer.strategy.reduce_boolean_decision(said, all=False)

    def _mean(self, trainer: Trainer, own: torch.Tensor) -> torch.Tensor:
        """The mean of the processes' own values."""
        if self._place.size == 1:
            return own
        mean: torch.Tensor = trainer.strategy.reduce(own.clone(), reduce_op="mean")
        return mean

    def _share_losses(self, trainer: Trainer) -> None:
        """From the loss of this process's part of each batch to that of the whole."""
        own = self._losses[self._shared :]
        if own and self._place.size > 1:
            self._losses[self._shared :] = self._mean(trainer, torch.stack(own))
        self._shared = len(self._losses)

    def _stop_if_stale(self, trainer: Trainer) -> None:
        stale = self.progress.exhausted(self._patience)
        if stale or self._stopping:  # trainer.min_epochs may have kept it going until it got better
            trainer.should_stop = stale
        self._stopping = stale

    def _turn(self, trainer: Trainer, task: Task, over: bool = False) -> None:
        """Complete an epoch: write what has to be written, report, and leave if asked to."""
        self._turning = False
        task.record = self._record
        binding = self._goal.report and self._goal.binding
        if saved := over or binding or self._any(trainer, self._late()):
            self._save(trainer, task, best=self._improved)
        elif self._improved:
            self._write(trainer, folder.BEST, weights_only=True)
        self._improved = False
        if self.progress.step == trainer.global_step:  # this epoch was validated
            self._report(trainer)
        if self._any(trainer, self._context.interrupted):
            if not saved:
                self._save(trainer, task)
            raise Stop(Interrupted())

    def _save(self, trainer: Trainer, task: Task, best: bool = False) -> None:
        task.record = self._record
        # What the checkpoint covers will not be logged again: it has to be on disk before.
        self._tracker.flush()
        assert task.generator is not None
        own = {
            "masks": task.generator.get_state(),
            "global": torch.get_rng_state(),
            "carried": move_data_to_device(task.carried, torch.device("cpu")),
        }
        self._generators = self._place.gathered(own)
        self._share_losses(trainer)
        self._write(trainer, folder.LAST, weights_only=False, best=best)
        self._saved = time.perf_counter()

    def _write(self, trainer: Trainer, name: str, weights_only: bool, best: bool = False) -> None:
        """Lightning has all processes call it, and the first one write; as best.ckpt too, if it is `best`."""
        path = self._context.directory / name
        # best.ckpt first, so that last.ckpt never speaks of a best that is not there
        before = path.with_name(folder.BEST) if best else None
        with folder.replacing(path, before=before) if trainer.is_global_zero else nullcontext(path) as part:
            trainer.save_checkpoint(part, weights_only=weights_only)

    def _elapsed(self) -> float:
        return self.progress.seconds + time.perf_counter() - self._started


def of_steps(measured: torch.Tensor) -> dict[str, float]:
    """Means of `measured`, batches x (loss, gradient norm), by their names in the record."""
    means = {"train/loss": measured[:, 0].mean(), "train/gradient_norm": measured[:, 1].nanmean()}
    return {name: float(mean) for name, mean in means.items() if name == "train/loss" or mean.isfinite()}


def _set_state(generator: torch.Generator, state: torch.Tensor) -> None:
    """Let it go on where it was. Raises ConfigError if it was one on another kind of device."""
    try:
        generator.set_state(state)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(
            f"trainer.accelerator: the run was begun on another kind of device than {generator.device.type}; "
            "go on with it there, or begin another"
        ) from error
