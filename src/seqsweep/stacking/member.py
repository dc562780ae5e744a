"""One trial of a stack: its data, its schedule, its record; only the table of weights is shared."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seqsweep.protocol import Complete, Failed, Interrupted, Outcome
from seqsweep.stacking import checkpoints
from seqsweep.stacking.step import Draw
from seqsweep.tasks.schedules import make_schedule, takes_steps
from seqsweep.training import folder, record, running, seeding
from seqsweep.training.callback import TrialCallback, of_steps
from seqsweep.training.outcomes import NO_VALIDATION, outcome_of, settled
from seqsweep.training.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from seqsweep.data import Batch, Batches
    from seqsweep.protocol import JobContext
    from seqsweep.tracking import Spool
    from seqsweep.training.building import Built
    from seqsweep.training.goal import Goal


class Member:
    """A trial as it is trained beside others: what `seqsweep.training` does around the steps, done by hand.

    The order of things is `seqsweep.training.callback.TrialCallback`'s, and so are the checkpoints: either
    goes on with what the other left.

    Args:
        built: from `seqsweep.training.building.build`; its weights are taken into the stack's table later.
        context: the job's side of the executor.
        tracker: where the record goes.
        goal: what is best.
        device: where it is trained.

    """

    def __init__(
        self, built: Built, context: JobContext, tracker: Spool, goal: Goal, device: torch.device
    ) -> None:
        self.built, self.context, self.tracker, self.goal, self.device = built, context, tracker, goal, device
        self.task = built.task.to(device)
        self.task.generator = seeding.generator(built.seed, "masks", device)
        self.task.on_fit_start()  # its tensors stay the same ones
        self.parameters = list(self.task.model.parameters())
        self.loader: Batches = built.data.train_dataloader()
        self.optimizer, self.schedule = self._optimizer()
        self.progress = Progress()
        self.carried = record.carried(built)
        self.clip: float | None = built.trainer.get("gradient_clip_val")
        self.every = built.trainer.get("log_every_n_steps") or 50
        self.epochs = int(built.trainer["max_epochs"])
        self.epoch = self.steps = self.place = self.first_step = 0
        """Epochs and optimiser steps done; batches done of this epoch; steps done by earlier attempts."""
        self.measured: list[Tensor] = []
        """Loss and gradient norm of each of this epoch's steps so far."""
        self._batches: Iterator[Batch] | None = None
        self._improved = False
        self.around = ExitStack()
        """What is to be closed before its end is recorded."""
        last = context.directory / folder.LAST
        if last.is_file():
            checkpoints.load(self, last)
        self.first_step = self.steps
        self._began = self._saved = time.perf_counter()

    # ------------------------------------------------------------ steps

    def draw(self) -> Draw:
        """The next batch, the state it begins with, and its masks."""
        if self._batches is None:
            self.loader.set_epoch(self.epoch)
            self._batches = iter(self.loader)
        batch = next(self._batches)
        if batch.inputs.device != self.device:
            batch = batch.to(self.device)
        state = self.task.state_for(batch, self.place, self.task.carried)
        return Draw(batch, state, self.task.draw_masks(batch))

    def stepped(self, measured: Tensor, state: Any) -> None:
        """Take in a step's loss and gradient norm, (2,), and the state after its batch."""
        self.task.carried = state
        self.steps += 1
        self.place += 1
        self.measured.append(measured)
        if self.by_step and self.schedule is not None:
            self.schedule.step()
        if self.steps % self.every == 0 and not self.epoch_over:
            loss, norm = measured.unbind()
            self.tracker.log_metrics({"train/loss": loss, "train/gradient_norm": norm}, self.steps)

    @property
    def epoch_over(self) -> bool:
        """Whether all batches of the epoch are done."""
        return self.place == len(self.loader)

    # ------------------------------------------------------------ between steps

    def pause(self) -> Outcome | None:
        """Between two steps of an epoch: save if it is time; an outcome if the trial is to be left."""
        interrupted = self.context.interrupted
        if interrupted or time.perf_counter() - self._saved >= TrialCallback.checkpoint_seconds:
            self._save()
        return Interrupted() if interrupted else None

    def turn(self) -> Outcome | None:
        """At an epoch's end: validate, record, save, report; an outcome if the trial is over.

        Raises:
            NotANumber: a loss or the goal's metric is not finite.

        """
        means, trainer = of_steps(torch.stack(self.measured)), self.built.trainer
        validated = (self.epoch + 1) % (trainer.get("check_val_every_n_epoch") or 1) == 0
        if validated:
            means |= self._validate()
        self.tracker.log_metrics(means, self.steps)
        self.progress.check(self.goal, means, self.epoch + 1)
        if validated:
            self._improved = self.progress.judge(self.goal, means, self.steps)
        self._step_schedule(means.get("val/loss"))
        self._save()
        self.next_epoch()
        return self.due() or (Interrupted() if self.context.interrupted else None)

    def next_epoch(self) -> None:
        """Begin it."""
        self.epoch += 1
        self._batches, self.place, self.measured, self.task.carried = None, 0, [], None

    def due(self) -> Outcome | None:
        """Between epochs: hand in the latest value, unless that is done; an outcome if the trial is over."""
        if self.progress.due(self.goal) and (outcome := self.progress.hand_in(self.context)):
            return outcome
        stale = self.progress.exhausted(self.built.patience)
        enough = self.epoch >= (self.built.trainer.get("min_epochs") or 0)
        return self._completed() if self.epoch >= self.epochs or (stale and enough) else None

    def failed(self, error: Exception) -> Outcome:
        """Keep what it raised; the outcome that this amounts to."""
        self.tracker.log_artifact(folder.write_error(self.context.directory, error))
        return outcome_of(error)

    def finish(self, outcome: Outcome) -> Outcome:
        """Record how it ended, and let go of what it used; as `settled`."""
        self.around.close()
        outcome = settled(outcome, self.context)
        record.finish(
            self.built,
            self.context.directory,
            self.tracker,
            outcome,
            progress=self.progress,
            system=record.speed(self.steps - self.first_step, self._elapsed(), self.progress.seconds),
            steps=self.steps,
        )
        self.tracker.close()
        return outcome

    def state(self) -> dict[str, Any]:
        """What a checkpoint carries of it beyond weights, optimiser and schedule."""
        assert self.task.generator is not None
        generators = {
            "masks": self.task.generator.get_state(),
            "global": torch.get_rng_state(),
            "carried": checkpoints.on_cpu(self.task.carried),
        }
        return {
            "progress": self.progress.state_dict() | {"seconds": self.progress.seconds + self._elapsed()},
            "generators": [generators],
            "losses": torch.stack(self.measured).cpu() if self.measured else None,
        }

    # ------------------------------------------------------------ inside

    def _optimizer(self) -> tuple[Any, Any]:
        """The optimiser, which never steps but says how, and its schedule."""
        optimizer = self.task.optimizer_factory(self.parameters)
        factory = self.task.scheduler_factory
        self.by_step = factory is not None and takes_steps(factory)
        if factory is None:
            return optimizer, None
        steps = int(self.built.trainer["max_epochs"]) * len(self.loader)
        schedule = make_schedule(factory, optimizer, steps)
        optimizer.step()  # without gradients, so nothing: schedules warn if it has never been called
        return optimizer, schedule

    def _validate(self) -> dict[str, float]:
        self.task.eval()
        with torch.inference_mode():
            for place, batch in enumerate(self.built.data.val_dataloader()):
                self.task.validation_step(batch.to(self.device), place)
            results = {name: float(value) for name, value in self.task.results("val").items()}
        self.task.train()
        return results

    def _step_schedule(self, val_loss: float | None) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            if val_loss is not None:
                self.schedule.step(val_loss)
        elif self.schedule is not None and not self.by_step:
            self.schedule.step()

    def _save(self) -> None:
        # What the checkpoint covers will not be logged again: it has to be on disk before.
        self.tracker.flush()
        checkpoints.write(self, best=self._improved)
        self._improved = False
        self._saved = time.perf_counter()

    def _completed(self) -> Outcome:
        progress = self.progress
        if progress.best is None:
            return Failed(NO_VALIDATION)
        metrics = dict(progress.best_metrics)
        if self.goal.test:
            metrics |= running.test(self.built, directory=self.context.directory, tracker=self.tracker)
        return Complete(tuple(progress.best_metrics[name] for name in self.goal.metrics), detail=metrics)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began
