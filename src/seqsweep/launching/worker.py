"""The process that runs one job: its surroundings are set first, then the entry is called.

It speaks with the executor over one pipe. When that pipe closes the driver is
gone: the job is asked to stop, and the process ends within `GRACE` seconds
whatever the job does, so that no orphan trains on.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from seqsweep.launching import entry
from seqsweep.protocol import Ended, Job, Report, Slot, Started

GRACE = 10.0
"""Seconds a job has for its checkpoint once it has been asked to stop."""


@dataclass(frozen=True)
class Answer:
    """From the executor: the pruner's word on the latest report."""

    go: bool


@dataclass(frozen=True)
class Interrupt:
    """From the executor: write a checkpoint and end."""


class WorkerContext:
    """The `JobContext` of a job in a worker process."""

    def __init__(self, job: Job, slot: Slot, pipe: Connection) -> None:
        self.trial = job.trial
        self.attempt = job.attempt
        self.directory = Path(job.directory)
        self.slot = slot
        self._pipe = pipe
        self._answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._interrupted = threading.Event()
        threading.Thread(target=self._listen, name="seqsweep-pipe", daemon=True).start()

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
        return self._answers.get()

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                self._stop_soon()
                return
            if isinstance(message, Answer):
                self._answers.put(message.go)
            else:
                self._stop_soon()

    def _stop_soon(self) -> None:
        if not self._interrupted.is_set():
            self._interrupted.set()
            timer = threading.Timer(GRACE, os._exit, args=[1])
            timer.daemon = True
            timer.start()
        self._answers.put(False)  # wake a job that waits for its answer


def run(job: Job, slot: Slot, pipe: Connection, environment: dict[str, str]) -> None:
    """Body of the worker process; ends it, threads left behind or not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while the warm server started
    os.setsid()  # so that the driver can end this job with all the processes it started
    _surroundings(job, slot, environment)
    started = time.monotonic()
    pipe.send(Started(job.trial, job.attempt, os.getpid()))
    outcome = entry.call(job, WorkerContext(job, slot, pipe))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pipe.send(Ended(job.trial, job.attempt, outcome, time.monotonic() - started, peak))
    except OSError:  # the driver is gone; what matters is on disk
        os._exit(1)
    os._exit(0)


def _surroundings(job: Job, slot: Slot, environment: dict[str, str]) -> None:
    """Environment, devices, threads and output, fixed before the job's first line."""
    # The warm server's environment is as old as the server; the driver's is what the user means.
    os.environ.clear()
    os.environ.update(environment)
    if slot.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(slot.devices)
    os.environ["OMP_NUM_THREADS"] = str(slot.threads)
    # The variable is read when torch is imported, which the warm server has done already.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(slot.threads)
    if not Path(job.directory).is_dir():
        os._exit(1)  # the driver gave up while this process was starting, and has tidied up
    output = os.open(
        Path(job.directory) / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
    )
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
