"""The process that runs jobs: the surroundings of each are set first, then its entry is called.

Jobs of one stack are run as one: they have their surroundings in common, and a context each.

It speaks with the executor over one pipe. When that pipe closes the driver is
gone: the job is asked to stop, and the process ends within `GRACE` seconds
whatever the job does, so that no orphan trains on.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from seqsweep.later import uncollected
from seqsweep.launching import entry, leaks, memory
from seqsweep.launching.answers import Answers
from seqsweep.protocol import Complete, Ended, Job, Pruned, Report, Slot, Started

OUTPUT = "output.log"
"""What a job prints, in its directory; several that run as one print to the first one's."""

GRACE = 10.0
"""Seconds a job has for its checkpoint once it has been asked to stop."""


@dataclass(frozen=True)
class Work:
    """From the executor: a job, or several of one stack, where to run, and the driver's environment."""

    jobs: tuple[Job, ...]
    slot: Slot
    environment: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """From the executor: the pruner's word on the trial's latest report."""

    trial: int
    go: bool


@dataclass(frozen=True)
class Interrupt:
    """From the executor: the trial is to write a checkpoint and end."""

    trial: int


@dataclass(frozen=True)
class Done:
    """To the executor: how the last of the jobs ended, and whether the worker waits for others."""

    ended: Ended
    again: bool
    device_size: int
    """Memory of the jobs' device in bytes; 0 where they used none."""


class WorkerContext:
    """The `JobContext` of a job in a worker process."""

    def __init__(self, job: Job, slot: Slot, pipe: Connection) -> None:
        self.trial = job.trial
        self.attempt = job.attempt
        self.directory = Path(job.directory)
        self.slot = slot
        self.over = False
        """Whether the job has ended and the process goes on."""
        self.asks = job.asks
        self.answers = Answers(job.asks)
        self._pipe = pipe
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        """Whether the driver asked to stop, or is gone."""
        return self._interrupted.is_set()

    def report(self, value: float, step: int) -> bool:
        """Send the value and, if the job asks, wait for the pruner's word."""
        if self.interrupted:
            return False
        report = Report(self.trial, self.attempt, float(value), int(step))
        try:
            return self.answers.report(lambda: self._pipe.send(report))
        except OSError:
            # The driver is gone. Only after the listener has said so may the job read on:
            # stop alone would mean that it was pruned.
            self._interrupted.wait()
            return False

    def settle(self) -> bool:
        """Wait for the answer to the latest report."""
        return self.answers.settle()

    def stop_soon(self) -> None:
        """Ask the job to end, and see to it that the process does."""
        if not self._interrupted.is_set():
            self._interrupted.set()
            timer = threading.Timer(GRACE, self._give_up)
            timer.daemon = True
            timer.start()
        self.answers.give(False)  # wake a job that waits for its answer

    def _give_up(self) -> None:
        if not self.over:
            os._exit(1)


class _Inbox:
    """What the executor sends: a word is for the trial's job among those that were sent last before it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._latest: dict[int, WorkerContext] = {}
        self._received: queue.SimpleQueue[tuple[Work, list[WorkerContext]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="seqsweep-pipe", daemon=True).start()

    def next(self) -> tuple[Work, list[WorkerContext]] | None:
        """Wait for work; None once the driver is gone."""
        return self._received.get()

    def _listen(self) -> None:
        while True:
            try:
                self._take(self._pipe.recv())
            except (EOFError, OSError):
                break
            except Exception:  # a job that only the driver can read: nobody would hear of its end
                traceback.print_exc()
                os._exit(1)
        for context in self._latest.values():
            context.stop_soon()
        self._received.put(None)

    def _take(self, message: object) -> None:
        if isinstance(message, Work):
            contexts = [WorkerContext(job, message.slot, self._pipe) for job in message.jobs]
            self._latest = {context.trial: context for context in contexts}
            self._received.put((message, contexts))
        elif isinstance(message, Answer | Interrupt) and message.trial in self._latest:
            context = self._latest[message.trial]
            if isinstance(message, Answer):
                context.answers.give(message.go)
            else:
                context.stop_soon()


def run(pipe: Connection, jobs: int, preload: Sequence[str]) -> None:
    """Body of the worker process: runs up to so many jobs and ends, threads left behind or not.

    A stack counts as one job. `preload` names modules to import before the first.
    """
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while the warm server started
        os.setsid()  # so that the driver can end this process with all that its jobs have started
        if jobs > 1:
            _adopt_grandchildren()
        inbox = _Inbox(pipe)
        for number in range(jobs):
            received = inbox.next()
            if received is None:
                break
            work, contexts = received
            _surroundings(work)
            if number == 0:
                _warm_up(preload)
            if not _run(work, contexts, pipe, last=number == jobs - 1):
                break
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _warm_up(preload: Sequence[str]) -> None:
    with uncollected():  # nor are a warm server's pages copied by looking at what is on them
        for name in preload:
            with suppress(ImportError):  # whoever needs it will say so
                importlib.import_module(name)
    gc.enable()  # the warm server does without


def _run(work: Work, contexts: Sequence[WorkerContext], pipe: Connection, last: bool) -> bool:
    """Run a job, or several as one; whether the process waits for another."""
    put_back = None if last else leaks.remember()
    began = time.monotonic()
    for job in work.jobs:
        pipe.send(Started(job.trial, job.attempt, os.getpid()))
    left, well = len(work.jobs), True
    for place, outcome in entry.outcomes(work.jobs, contexts):
        job, seconds, used = work.jobs[place], time.monotonic() - began, memory.used()
        ended = Ended(job.trial, job.attempt, outcome, seconds, used.resident, used.on_device)
        well = well and isinstance(outcome, Complete | Pruned)
        left -= 1
        if left:  # the last word comes when the process is done
            contexts[place].over = True
            with suppress(OSError):  # the driver is gone; the others still write their checkpoints
                pipe.send(ended)
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, AttributeError):  # the job may have closed it
            stream.flush()
    fit = _clean_up(put_back, used) and well and not any(context.interrupted for context in contexts)
    for context in contexts:
        context.over = fit
    try:
        pipe.send(Done(ended, fit, used.of_device))
    except OSError:  # the driver is gone; what matters is on disk
        os._exit(1)
    return fit


def _clean_up(put_back: Callable[[], bool] | None, used: memory.Used) -> bool:
    """Before the seat is free: give the device's memory back, and leave nothing of the job in the process."""
    try:
        if put_back or used.on_device:
            memory.release()
        return put_back is not None and put_back()
    except Exception:  # a fresh process does not have whatever this is
        return False


def _surroundings(work: Work) -> None:
    """Environment, devices, threads and output, fixed before the job's first line."""
    # This process's environment may be as old as the warm server; the driver's is what the user means.
    os.environ.clear()
    os.environ.update(work.environment)
    if work.slot.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(work.slot.devices)
    os.environ["OMP_NUM_THREADS"] = str(work.slot.threads)
    # The variable is read when torch is imported, which has been done already in most processes.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(work.slot.threads)
    directory, *others = (Path(job.directory) for job in work.jobs)
    if not all(folder.is_dir() for folder in (directory, *others)):
        os._exit(1)  # the driver gave up while this process was starting, and has tidied up
    output = os.open(directory / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for other in others:
        with (other / OUTPUT).open("a") as log:
            log.write(
                f"run as one with trial {work.jobs[0].trial}: all they print is in {directory / OUTPUT}\n"
            )


def _adopt_grandchildren() -> None:
    """Linux: processes whose parent has ended become ours, so that none a job leaves behind is overlooked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
