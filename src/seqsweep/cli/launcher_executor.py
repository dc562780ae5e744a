"""Any other Hydra launcher as an executor: jobs run in batches, and nothing is pruned.

Such a launcher takes a list of overrides a job, composes and runs the jobs, and comes
back when the last of them has ended. It is given a task function of ours, which finds
its job by the number and runs it as a worker of our own launcher would.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.errors import SeqsweepError
from seqsweep.launching import entry
from seqsweep.protocol import Ended, Event, Failed, Interrupted, Job, Report, Slot, SlotLost, Started

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig

    from seqsweep.cli.hydra_job import Application

BEGUN = f"{paths.STATE}/begun"
"""In the folder of a job that the launcher has begun."""
INTERRUPT = f"{paths.STATE}/interrupt"
"""In the folder of a job that is to leave a checkpoint and end."""


class LauncherExecutor:
    """Runs jobs through a Hydra launcher; see `seqsweep.protocol.Executor`.

    A job's payload is its overrides; its entry is called with what the launcher composed.
    All that was submitted since goes to the launcher in the next `poll`, which comes back
    when it has ended: up to the first gap in its numbers, since a launcher numbers on. Reports
    come with the end and are for the record: no answer reaches the job.
    """

    def __init__(self, launcher: Launcher, task: BatchTask, size: int) -> None:
        self._launcher, self._task = launcher, task
        self._slots = tuple(Slot(number) for number in range(size))
        self._waiting: dict[int, tuple[Job, Slot]] = {}
        self._events: list[Event] = []
        self._interrupted = False
        self._closed = False

    @classmethod
    def of(cls, application: Application, folder: Path, size: int) -> LauncherExecutor:
        """On the application's own launcher, its jobs' folders being numbers in `folder`."""
        from hydra.core.plugins import Plugins

        task = BatchTask()
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=application.context,
            task_function=task,
            config=_for_launcher(application.config, folder),
        )
        return cls(launcher, task, size)

    def __enter__(self) -> LauncherExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def slots(self) -> Sequence[Slot]:
        """As many as jobs in a batch."""
        return self._slots

    def submit(self, job: Job, slot: Slot) -> None:
        """Keep the job for the next batch."""
        if any(taken.id == slot.id for _, taken in self._waiting.values()):
            raise ValueError(f"slot {slot.id} has no free seat")
        self._waiting[job.trial] = (job, slot)

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Run the next batch to its end, however long that takes."""
        if batch := self._next_batch():
            self._events += self._launch(batch)
        events, self._events = self._events, []
        return events

    def answer(self, trial: int, go: bool) -> None:
        """Nothing: the job has ended."""

    def interrupt(self, trial: int) -> None:
        """Take the job out of the next batch; the batch that runs hears of Ctrl-C by itself."""
        if waiting := self._waiting.pop(trial, None):
            self._events.append(Ended(trial, waiting[0].attempt, Interrupted()))

    def cancel(self, trial: int) -> None:
        """Take the job out of the next batch."""
        if waiting := self._waiting.pop(trial, None):
            self._events.append(SlotLost(trial, waiting[0].attempt, waiting[1].id, "cancelled"))

    def close(self) -> None:
        """Run nothing more."""
        self._waiting.clear()
        self._closed = True

    def _next_batch(self) -> list[tuple[Job, Slot]]:
        batch: list[tuple[Job, Slot]] = []
        for number in sorted(self._waiting):
            if batch and number != batch[-1][0].trial + 1:
                break
            batch.append(self._waiting[number])
        for job, _ in batch:
            del self._waiting[job.trial]
        return batch

    def _launch(self, batch: Sequence[tuple[Job, Slot]]) -> list[Event]:
        jobs = [job for job, _ in batch]
        self._task.jobs = {job.trial: job for job in jobs}
        for job in jobs:
            for mark in (BEGUN, INTERRUPT):
                (Path(job.directory) / mark).unlink(missing_ok=True)
        try:
            with self._passing_interrupts(jobs):
                returned = self._launcher.launch([job.payload for job in jobs], jobs[0].trial)
        except Exception as error:  # a worker that died takes the whole batch with it
            return self._lost(batch, error)
        if self._closed:  # by a second Ctrl-C, which a job in this process may have caught
            raise KeyboardInterrupt
        return [event for job, done in zip(jobs, returned, strict=True) for event in _events(job, done)]

    def _lost(self, batch: Sequence[tuple[Job, Slot]], error: Exception) -> list[Event]:
        """Who it was of a batch that gave no results shows when each job is run by itself."""
        jobs = [job for job, _ in batch]
        if self._interrupted:
            return [Ended(job.trial, job.attempt, Interrupted()) for job in jobs]
        if not any((Path(job.directory) / BEGUN).exists() for job in jobs):
            raise SeqsweepError(f"hydra/launcher: {_line(error)}: no job was started") from error
        if len(batch) > 1:
            return [event for one in batch for event in self._launch([one])]
        [(job, slot)] = batch
        return [SlotLost(job.trial, job.attempt, slot.id, f"the launcher gave no result: {_line(error)}")]

    @contextlib.contextmanager
    def _passing_interrupts(self, jobs: Sequence[Job]) -> Iterator[None]:
        """While the launcher blocks, Ctrl-C reaches its jobs through a file in the folder of each."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: FrameType | None) -> None:
            self._interrupted = True
            for job in jobs:
                _mark(job, INTERRUPT)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class BatchTask:
    """The task function that a launcher is given: runs the job of its number to the job's events."""

    jobs: dict[int, Job] = field(default_factory=dict)
    driver: int = field(default_factory=os.getpid)

    def __call__(self, config: DictConfig) -> list[Event]:
        """Called by Hydra, in whatever process the launcher has chosen."""
        from hydra.core.hydra_config import HydraConfig

        job = self.jobs[int(HydraConfig.get().job.num)]
        context = _BatchContext(job)
        if context.interrupted:  # the driver stops while an earlier job of the batch runs
            return [Ended(job.trial, job.attempt, Interrupted())]
        _mark(job, BEGUN)
        began = time.monotonic()
        with contextlib.nullcontext() if os.getpid() == self.driver else _deaf_to_ctrl_c():
            outcome = entry.call(replace(job, payload=config), context)
        started = Started(job.trial, job.attempt, os.getpid())
        return [started, *context.reports, Ended(job.trial, job.attempt, outcome, time.monotonic() - began)]


class _BatchContext:
    """The `JobContext` of a job in a batch."""

    slot = Slot(id=0)

    def __init__(self, job: Job) -> None:
        self.trial = job.trial
        self.attempt = job.attempt
        self.asks = job.asks
        self.directory = Path(job.directory)
        self.reports: list[Report] = []

    @property
    def interrupted(self) -> bool:
        """Whether the driver was told to stop."""
        return (self.directory / INTERRUPT).exists()

    def report(self, value: float, step: int) -> bool:
        """Keep the value for the record; go on unless the driver stops."""
        self.reports.append(Report(self.trial, self.attempt, float(value), int(step)))
        return not self.interrupted

    def settle(self) -> bool:
        """Nothing to wait for: the values are told with the outcome."""
        return True


def _events(job: Job, done: JobReturn) -> list[Event]:
    from hydra.core.utils import JobStatus

    if done.status == JobStatus.COMPLETED:
        events: list[Event] = done.return_value
        return events
    return [Ended(job.trial, job.attempt, Failed(_line(done._return_value)))]


def _for_launcher(config: DictConfig, folder: Path) -> DictConfig:
    """The configuration a launcher is set up with; it composes its jobs' own from the overrides in it."""
    from hydra.core.override_parser.types import Quote, QuotedString
    from omegaconf import open_dict, read_write

    config = copy.deepcopy(config)
    quoted = QuotedString(text=str(folder), quote=Quote.single).with_quotes()
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra += [
            f"hydra.sweep.dir={quoted}",
            "hydra.sweep.subdir=${hydra.job.num}",
        ]
        # A launcher's own announcements count from the batch's first job; our view knows the trials.
        if config.hydra.hydra_logging and "root" in config.hydra.hydra_logging:
            config.hydra.hydra_logging.root.level = "WARNING"
    return config


def _mark(job: Job, mark: str) -> None:
    path = Path(job.directory) / mark
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A terminal's Ctrl-C meets every process; it is the driver's to answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _line(error: BaseException) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
