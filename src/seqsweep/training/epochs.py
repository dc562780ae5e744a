"""An epoch at a time: Lightning's loop over the batches without what is idle between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.optim import Optimizer

from seqsweep.data import Batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lightning.pytorch.loops.fetchers import _DataFetcher
    from torch import Tensor

    from seqsweep.data import Batch
    from seqsweep.tasks import Task

    AfterBatch = Callable[[Trainer, Task, Tensor], None]

BATCH_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
"""What Lightning calls at every batch, of callbacks as of the task."""
STEP_HOOKS = (
    "training_step",
    "backward",
    "optimizer_step",
    "optimizer_zero_grad",
    "configure_gradient_clipping",
    "lr_scheduler_step",
)
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
KNOWN = ("lightning", "seqsweep")
"""Whose hooks are known: what they do is done here too."""


class EpochLoop(_TrainingEpochLoop):
    """Trains on all batches of an epoch but the last one in one go, and leaves that one to Lightning.

    What is left out between two batches is what nobody has a use for, which `why_not` looks into. The rest
    is Lightning's, and so are its counts: a checkpoint from within an epoch is the one that Lightning would
    have written there, and the results are the same to the last bit.

    Args:
        trainer: whose loop it becomes.
        after_batch: called with the trainer, the task and the batch's loss, as Lightning calls a
            callback's ``on_train_batch_end``.

    """

    def __init__(self, trainer: Trainer, after_batch: AfterBatch) -> None:
        super().__init__(trainer)
        self._after_batch = after_batch
        self.whole = False
        """Whether to train so; Lightning's own way else."""

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Train on the rest of the epoch."""
        validating = self.restarting and self._should_check_val_fx(data_fetcher)
        if self.whole and not validating and not self.automatic_optimization._skip_backward:
            rest = int(self.trainer.num_training_batches) - self.batch_progress.current.ready
            for _ in range(rest - 1):
                self._train(next(data_fetcher)[0])
        super().advance(data_fetcher)

    def _train(self, batch: Batch) -> None:
        """Train on a batch, and count as Lightning does."""
        trainer, progress = self.trainer, self.batch_progress
        task: Task = trainer.lightning_module
        progress.is_last_batch = False
        progress.increment_ready()
        progress.increment_started()
        loss = self._step(task, batch, progress.current.ready - 1)
        progress.increment_processed()
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
        self._after_batch(trainer, task, loss)
        progress.increment_completed()
        self._restarting = False
        if trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=True)
        if not self._should_accumulate():
            self._batches_that_stepped += 1
        if trainer.received_sigterm:
            raise SIGTERMException

    def _step(self, task: Task, batch: Batch, index: int) -> Tensor:
        """Back-propagate and, unless gradients accumulate, let the optimiser step; returns the loss."""
        trainer, counts = self.trainer, self.automatic_optimization.optim_progress.optimizer
        optimizer, of = trainer.optimizers[0], trainer.accumulate_grad_batches
        last = (index + 1) % of == 0
        losses: list[Tensor] = []
        if batch.inputs.device != trainer.strategy.root_device:
            batch = batch.to(trainer.strategy.root_device)

        def closure() -> Tensor:
            with trainer.precision_plugin.train_step_context():
                loss = task.training_step(batch, index)
            loss = loss if of == 1 else loss / of
            losses.append(loss.detach())
            if index % of == 0:
                counts.zero_grad.increment_ready()
                counts.zero_grad.increment_started()
                _forget_gradients(optimizer)
                counts.zero_grad.increment_completed()
            loss.backward()
            if last:
                value, kind = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
                task.configure_gradient_clipping(optimizer, value, kind)
            return losses[-1]

        if last:
            counts.step.increment_ready()
            optimizer.step(closure)
            counts.step.increment_completed()
        else:
            closure()
        return losses[-1]


def _forget_gradients(optimizer: Optimizer) -> None:
    """What `Optimizer.zero_grad` does, without its entry in a profile, which takes longer than the rest."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        optimizer.zero_grad()
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def why_not(trainer: Trainer, ours: Callback) -> str | None:
    """Why Lightning has to run every batch itself; None where it need not.

    Args:
        trainer: once its fit has begun.
        ours: the callback that knows what an `EpochLoop` leaves out.

    """
    return next(_reasons(trainer, ours), None)


def _reasons(trainer: Trainer, ours: Callback) -> Iterator[str]:
    task, data, profiler = trainer.lightning_module, trainer.datamodule, trainer.profiler  # type: ignore[attr-defined]
    if trainer.world_size > 1:
        yield "several processes share its batches"
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        yield f"trainer.precision={trainer.precision} scales the loss"
    if not isinstance(profiler, PassThroughProfiler):
        yield f"a {type(profiler).__name__} measures each step"
    if not isinstance(trainer.train_dataloader, Batches):
        yield f"the batches come from a {type(trainer.train_dataloader).__name__}"
    if not task.automatic_optimization:
        yield f"{type(task).__name__} optimises by itself"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if callback is not ours:
            yield from (f"{type(callback).__name__} has {hook}" for hook in _overridden(callback))
    for part, hooks in ((task, (*BATCH_HOOKS, *STEP_HOOKS, *TRANSFER_HOOKS)), (data, TRANSFER_HOOKS)):
        yield from (f"{type(part).__name__} has its own {hook}" for hook in hooks if _foreign(part, hook))


def _overridden(callback: Callback) -> list[str]:
    """The hooks of every batch in which a callback does something; an instance may have its own."""
    return [
        hook
        for hook in BATCH_HOOKS
        if getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
    ]


def _foreign(part: LightningModule | LightningDataModule, hook: str) -> bool:
    """Whether a hook was written by somebody else."""
    return str(getattr(part, hook).__module__).partition(".")[0] not in KNOWN
