"""train and test: a built run from its first step to its Outcome."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from functools import partial
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from seqsweep.data import Batches, SequenceData
from seqsweep.errors import ConfigError, DataError, UsageError
from seqsweep.protocol import Complete, Failed, Interrupted, LocalContext, Outcome
from seqsweep.tasks import pictures
from seqsweep.tracking import records
from seqsweep.training import compiling, folder, parallel, record, rounding, seeding
from seqsweep.training.arguments import make_trainer
from seqsweep.training.building import build
from seqsweep.training.callback import TrialCallback
from seqsweep.training.epochs import EpochLoop
from seqsweep.training.goal import Goal, check_metrics
from seqsweep.training.gradients import gradient_flow
from seqsweep.training.logger import RecordLogger, wants_logger
from seqsweep.training.outcomes import NO_VALIDATION, Stop, settled
from seqsweep.training.quiet import keeping_sigint, quiet
from seqsweep.training.system import watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from lightning.pytorch import LightningDataModule, Trainer

    from seqsweep.protocol import JobContext, Slot
    from seqsweep.tasks import Task
    from seqsweep.tracking import Tracker
    from seqsweep.training.building import Built
    from seqsweep.training.parallel import Crew, Place


def train(built: Built, *, context: JobContext, tracker: Tracker, goal: Goal | None = None) -> Outcome:
    """Train a run to its end and record it.

    Writes ``config.yaml``, ``best.ckpt`` and, while it is under way, ``last.ckpt``
    into the context's directory. Where there is a ``last.ckpt`` already, an
    interrupted attempt's, it goes on from it and ends as if nothing had happened;
    where the run has ended already, its outcome is returned.

    Args:
        built: from `build`.
        context: the job's side of the executor; `seqsweep.protocol.LocalContext` without one.
            Its slot's threads are used, unless the configuration names a number of them,
            and its slot's number of processes, each of which trains on its part of every
            batch; the others end with this one.
        tracker: where parameters, metrics and files go. It is told the end, but not closed.
        goal: what is best; None means the task's own.

    Returns:
        Complete with the goal's metrics at the best validation (detail: all metrics at
        the best checkpoint, tested ones included), Pruned, Infeasible, Failed, or Interrupted.

    Raises:
        ConfigError: the task does not log one of the goal's metrics, or the data cannot be
            divided among processes.

    """
    goal = goal or Goal.of(built.task)
    check_metrics(goal.metrics, built.task.metrics)
    known = folder.read_outcome(context.directory, built.config)
    if known is not None:
        return known
    _check_divisible(built.data, context.slot.processes)
    if built.compile:
        device = make_trainer(built.trainer).strategy.root_device
        compiling.check(built.compile, built.task, device, built.trainer.get("accumulate_grad_batches") or 1)
    follow = partial(_follow, built.config, goal, context.directory, context.slot)
    with (
        keeping_sigint(),
        parallel.crew(context.slot.processes, context.directory, follow) as crew,
        _surroundings(built, context.slot, crew.place),
    ):
        return _Run(built, context, tracker, goal, crew).outcome()


def test(built: Built, *, directory: Path, tracker: Tracker) -> dict[str, float]:
    """Test the best checkpoint of a run's folder and record ``test/...`` metrics.

    Returns:
        The metrics by name.

    Raises:
        DataError: there is no checkpoint.

    """
    path = directory / folder.BEST
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint; the run has none to test")
    with quiet(), rounding.rounded(built.matmul_precision), seeding.isolated(built.seed, "other"):
        return _test(built, make_trainer(built.trainer, default_root_dir=directory), path, tracker)


def _check_divisible(data: LightningDataModule, processes: int) -> None:
    if processes == 1:
        return
    if isinstance(data, SequenceData) and isinstance(data.train_dataloader(), Batches):
        return
    raise ConfigError(
        f"hydra.launcher.devices_per_trial={processes}: expected 1, since the batches of "
        f"{type(data).__name__} cannot be divided; those of a seqsweep.data.SequenceData can"
    )


def _follow(config: Mapping[str, Any], goal: Goal, directory: Path, slot: Slot, place: Place) -> None:
    """One of the other processes of a run."""
    built = build(config)
    context, crew = LocalContext(directory, slot=slot), parallel.Crew(place)
    with _surroundings(built, slot, place):
        _Run(built, context, parallel.Silent(), goal, crew).follow()


@contextmanager
def _surroundings(built: Built, slot: Slot, place: Place) -> Iterator[None]:
    """Threads, rounding, generators and Lightning's manners, as they are to be around a fit."""
    # How sums are split among threads decides their last bits.
    torch.set_num_threads(max(1, (built.config.get("threads") or slot.threads) // place.size))
    with (
        quiet(),
        rounding.rounded(built.matmul_precision),
        seeding.isolated(built.seed, place.stream("other")),
    ):
        yield


class _Run:
    """One attempt at a run, in one of its processes."""

    def __init__(self, built: Built, context: JobContext, tracker: Tracker, goal: Goal, crew: Crew) -> None:
        self.built = built
        self.crew = crew
        self.context = context
        self.directory = context.directory
        self.tracker = tracker
        self.goal = goal
        self.steps = 0
        self.system: dict[str, float] = {}
        self.callback = TrialCallback(
            context,
            tracker,
            goal,
            seed=built.seed,
            every=built.trainer.get("log_every_n_steps") or 50,
            patience=built.patience,
            record=record.carried(built),
            place=crew.place,
        )

    def follow(self) -> None:
        """Fit, and leave the rest to the first process."""
        with suppress(Stop):
            self._fit(self._trainer())

    def outcome(self) -> Outcome:
        """Run, and put down how it ended."""
        try:
            outcome = self._fit_and_test()
        except Stop as stop:
            outcome = stop.outcome
        except SystemExit as error:
            # Lightning's way to say that SIGTERM or SIGINT came; any other is not ours to judge
            if not isinstance(error, SIGTERMException) and not isinstance(
                error.__context__, KeyboardInterrupt
            ):
                raise
            outcome = Interrupted()
        except UsageError as error:
            self._finish(Failed(str(error), usage=True))
            raise
        except Exception as error:
            outcome = self.crew.outcome_of(error)
            self.tracker.log_artifact(folder.write_error(self.directory, error))
        return self._finish(outcome)

    def _fit_and_test(self) -> Outcome:
        record.describe(self.built, self.directory, self.tracker)
        flows = self._flow("at the start")
        trainer = self._trainer()
        self.tracker.set_tags({"seqsweep.device": device_name(trainer)})
        if self.built.compile:
            self.tracker.set_tags({"seqsweep.compile": self.built.compile})
        self._fit(trainer)
        progress = self.callback.progress
        if progress.best is None:
            return Failed(NO_VALIDATION)
        metrics = dict(progress.best_metrics)
        if flows:
            load_checkpoint(self.built.task, self.directory / folder.BEST)
            picture = pictures.gradient_flow(flows | self._flow("at the best"))
            path = folder.write_picture(self.directory, "gradient_flow", picture)
            self.tracker.log_artifact(path, folder.PICTURES)
        if self.goal.test:
            tester = trainer if self.crew.place.size == 1 else self._trainer(alone=True)
            metrics |= _test(
                self.built, tester, self.directory / folder.BEST, self.tracker, progress.best_step
            )
        values = tuple(progress.best_metrics[name] for name in self.goal.metrics)
        return Complete(values, detail=metrics)

    def _flow(self, title: str) -> dict[str, dict[str, np.ndarray]]:
        """How far back the gradient reaches as the weights are now, if that is asked for."""
        if not self.built.gradient_flow:
            return {}
        batch = next(iter(self.built.data.val_dataloader()))
        layers = enumerate(gradient_flow(self.built.task, batch), start=1)
        return {title: {f"layer {layer}": norms for layer, norms in layers}}

    def _trainer(self, alone: bool = False) -> Trainer:
        ours: dict[str, Any] = {"default_root_dir": self.directory}
        if alone:
            return make_trainer(self.built.trainer, **ours)
        theirs = self.built.trainer["callbacks"]
        if any(map(wants_logger, theirs)):
            ours["logger"] = RecordLogger(self.tracker, self.directory)
        callbacks = [*theirs, self.callback]
        trainer = make_trainer(
            self.built.trainer | {"callbacks": callbacks}, **ours, **self.crew.place.arguments()
        )
        trainer.fit_loop.epoch_loop = EpochLoop(trainer, self.callback.after_batch)
        return trainer

    def _fit(self, trainer: Trainer) -> None:
        last = self.directory / folder.LAST
        resumed = last if last.is_file() else None
        first = self._take_over(resumed) if resumed else 0
        data, place = self.built.data, self.crew.place
        if isinstance(data, SequenceData):
            data.part = (place.rank, place.size)
        wanted, device = self.built.system_metrics and place.rank == 0, trainer.strategy.root_device
        with (
            place.connected(device),
            watching(wanted, self.tracker, self.directory, device),
            compiling.compiled(self.built.task, self.built.compile),
        ):
            before, began = self.callback.progress.seconds, time.perf_counter()
            try:
                trainer.fit(self.built.task, datamodule=data, ckpt_path=resumed, weights_only=True)
            finally:
                seconds = time.perf_counter() - began
                self.steps = max(first, trainer.global_step)  # 0 until Lightning has read the checkpoint
                self.system = record.speed(self.steps - first, seconds, before)

    def _take_over(self, last: Path) -> int:
        """Take over an interrupted attempt's state; return its optimiser steps."""
        checkpoint = torch.load(last, map_location="cpu", weights_only=True)
        if not folder.same_run(checkpoint["seqsweep"]["config"], self.built.config):
            raise ConfigError(
                f"{last}: left by a run with another configuration; delete it or choose another folder"
            )
        self.callback.load_state_dict(checkpoint["callbacks"][self.callback.state_key])
        return int(checkpoint["global_step"])

    def _finish(self, outcome: Outcome) -> Outcome:
        outcome = settled(outcome, self.context)
        record.finish(
            self.built,
            self.directory,
            self.tracker,
            outcome,
            progress=self.callback.progress,
            system=self.system,
            steps=self.steps,
        )
        return outcome


def _test(
    built: Built, trainer: Trainer, path: Path, tracker: Tracker, step: int | None = None
) -> dict[str, float]:
    """Metrics of the test part at the checkpoint, recorded with its pictures at the step it was made."""
    made = load_checkpoint(built.task, path)
    metrics = measured(built, trainer)
    step = made if step is None else step
    tracker.log_metrics(metrics, step)
    tracker.flush()
    directory, figures = path.parent, built.task.pictures()
    if curves := records.curves(directory):
        figures["learning_curves"] = pictures.learning_curves(curves, built.task.monitor[0], step)
    for name, figure in figures.items():
        tracker.log_artifact(folder.write_picture(directory, name, figure), folder.PICTURES)
    if samples := built.task.samples():
        tracker.log_artifact(folder.write_samples(directory, samples), folder.PICTURES)
    return metrics


def load_checkpoint(task: Task, path: Path) -> int:
    """Give the task the checkpoint's weights; returns the optimiser step they were stored at.

    Raises:
        ConfigError: they are those of another model, or none at all.

    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        weights, step = checkpoint["state_dict"], int(checkpoint["global_step"])
    except (RuntimeError, LookupError, TypeError, ValueError, EOFError, OSError, UnpicklingError) as error:
        raise ConfigError(
            f"{path.name} cannot be read: it is damaged, or no checkpoint ({_briefly(error)})"
        ) from error
    try:
        task.load_state_dict(weights)
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path.name} does not fit the configured model ({_briefly(error)})") from error
    return step


def _briefly(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join(lines[:2])


def measured(built: Built, trainer: Trainer) -> dict[str, float]:
    """Metrics of the test part, as the task is."""
    [logged] = trainer.test(built.task, datamodule=built.data, verbose=False)
    return {name: float(value) for name, value in logged.items() if name.startswith("test/")}


def device_name(trainer: Trainer) -> str:
    """What the run is trained on, as its record names it."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return name if trainer.world_size == 1 else f"{trainer.world_size} x {name}"
