"""The process that runs jobs: the surroundings of each are set first, then its entry is called.

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

from seqsweep.launching import entry, leaks, memory
from seqsweep.protocol import Complete, Ended, Job, Pruned, Report, Slot, Started

GRACE = 10.0
"""Seconds a job has for its checkpoint once it has been asked to stop."""


@dataclass(frozen=True)
class Work:
    """From the executor: a job, where it is to run, and the driver's environment."""

    job: Job
    slot: Slot
    environment: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """From the executor: the pruner's word on the latest report."""

    go: bool


@dataclass(frozen=True)
class Interrupt:
    """From the executor: write a checkpoint and end."""


@dataclass(frozen=True)
class Done:
    """To the executor: the job's last word, and whether the worker waits for another job."""

    ended: Ended
    again: bool
    device_size: int
    """Memory of the job's device in bytes; 0 where it used none."""


class WorkerContext:
    """The `JobContext` of a job in a worker process."""

    def __init__(self, work: Work, pipe: Connection) -> None:
        self.trial = work.job.trial
        self.attempt = work.job.attempt
        self.directory = Path(work.job.directory)
        self.slot = work.slot
        self.over = False
        """Whether the job has ended and the process goes on."""
        self.answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._pipe = pipe
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        """Whether the driver asked to stop, or is gone."""
        return self._interrupted.is_set()

    def report(self, value: float, step: int) -> bool:
        """Send the value and wait for the pruner's word."""
        if self.interrupted:
            return False
        try:
            self._pipe.send(Report(self.trial, self.attempt, float(value), int(step)))
        except OSError:
            # The driver is gone. Only after the listener has said so may the job read on:
            # stop alone would mean that it was pruned.
            self._interrupted.wait()
            return False
        return self.answers.get()

    def stop_soon(self) -> None:
        """Ask the job to end, and see to it that the process does."""
        if not self._interrupted.is_set():
            self._interrupted.set()
            timer = threading.Timer(GRACE, self._give_up)
            timer.daemon = True
            timer.start()
        self.answers.put(False)  # wake a job that waits for its answer

    def _give_up(self) -> None:
        if not self.over:
            os._exit(1)


class _Inbox:
    """What the executor sends: a word is for the job that was sent last before it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._latest: WorkerContext | None = None
        self._jobs: queue.SimpleQueue[tuple[Work, WorkerContext] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="seqsweep-pipe", daemon=True).start()

    def next(self) -> tuple[Work, WorkerContext] | None:
        """Wait for a job; None once the driver is gone."""
        return self._jobs.get()

    def _listen(self) -> None:
        while True:
            try:
                self._take(self._pipe.recv())
            except (EOFError, OSError):
                break
        if self._latest:
            self._latest.stop_soon()
        self._jobs.put(None)

    def _take(self, message: object) -> None:
        if isinstance(message, Work):
            self._latest = WorkerContext(message, self._pipe)
            self._jobs.put((message, self._latest))
        elif self._latest and isinstance(message, Answer):
            self._latest.answers.put(message.go)
        elif self._latest:
            self._latest.stop_soon()


def run(pipe: Connection, jobs: int, preload: Sequence[str]) -> None:
    """Body of the worker process: runs up to so many jobs and ends, threads left behind or not.

    `preload` names modules to import before the first job.
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
            work, context = received
            _surroundings(work)
            if number == 0:
                _warm_up(preload)
            if not _run(work, context, pipe, last=number == jobs - 1):
                break
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _warm_up(preload: Sequence[str]) -> None:
    for name in preload:
        with suppress(ImportError):  # whoever needs it will say so
            importlib.import_module(name)
    gc.freeze()  # what has been imported is there to stay: no collection looks at it, or copies its pages


def _run(work: Work, context: WorkerContext, pipe: Connection, last: bool) -> bool:
    """Run one job; whether the process waits for another."""
    put_back = None if last else leaks.remember()
    job = work.job
    began = time.monotonic()
    pipe.send(Started(job.trial, job.attempt, os.getpid()))
    outcome = entry.call(job, context)
    seconds = time.monotonic() - began
    used = memory.used()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, AttributeError):  # the job may have closed it
            stream.flush()
    fit = _clean_up(put_back, used) and isinstance(outcome, Complete | Pruned) and not context.interrupted
    context.over = fit
    ended = Ended(job.trial, job.attempt, outcome, seconds, used.resident, used.on_device)
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
    directory = Path(work.job.directory)
    if not directory.is_dir():
        os._exit(1)  # the driver gave up while this process was starting, and has tidied up
    output = os.open(directory / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _adopt_grandchildren() -> None:
    """Linux: processes whose parent has ended become ours, so that none a job leaves behind is overlooked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
