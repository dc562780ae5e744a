"""LocalExecutor: jobs in processes of this machine, a fresh one for each where that costs little.

Where the system can fork, processes come from a warm server that has imported
the heavy libraries and run no tensor work, so that a job's first line runs
some 0.03 s after `submit`. Elsewhere each is spawned and imports them by itself,
so that it pays to let one process run several jobs, one after the other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver, reduction, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType

from seqsweep.launching import worker
from seqsweep.launching.mps import Mps
from seqsweep.launching.packing import Packing
from seqsweep.launching.seats import Seats
from seqsweep.protocol import Ended, Event, Failed, Job, Slot, SlotLost

START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How multiprocessing starts workers here, unless told otherwise."""

SERVER = "seqsweep.launching.server"
"""What the warm server alone imports."""

EXIT_TIME = 5.0
"""Seconds for a process that has closed its pipe to be gone."""


@dataclass(eq=False)
class _Worker:
    """A worker process and the work that it does, or has done last."""

    process: BaseProcess
    pipe: connection.Connection
    work: worker.Work | None = None
    left: dict[int, Job] = field(default_factory=dict)
    """By trial, the jobs that have not ended."""
    deadline: float = float("inf")
    lost_because: str | None = None

    @property
    def slot(self) -> Slot:
        assert self.work
        return self.work.slot


class LocalExecutor:
    """Runs jobs in processes of this machine; see `seqsweep.protocol.Executor`.

    `preload` names modules to import once for all jobs of a process, or of all
    processes where there is a warm server; importing them must start no thread and
    run no tensor operation. `trial_timeout` is in seconds; a job that takes longer
    is ended and has failed. A stack has as many times that as it has members, and
    then they are lost: which of them takes too long is not known. A process runs up
    to `trials_per_worker` jobs, or stacks, and what one could leave to the next is
    put back; it runs no other after one that did not end well. With `packing`,
    slots are added to each device once it is known how much of its memory jobs
    take. Workers are told of `mps`, which is closed with the executor.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        preload: Sequence[str] = (),
        trial_timeout: float | None = None,
        *,
        start_method: str | None = None,
        trials_per_worker: int = 1,
        packing: Packing | None = None,
        mps: Mps | None = None,
    ) -> None:
        self._slots = list(slots)
        self._trial_timeout = trial_timeout
        self._trials_per_worker = trials_per_worker
        self._packing = packing
        self._mps = mps
        self._seats = Seats()
        self._busy: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._leaving: list[BaseProcess] = []
        method = start_method or START_METHOD
        self._forks = method == "forkserver"
        self._processes = multiprocessing.get_context(method)
        self._preload = () if self._forks else tuple(preload)
        if self._forks:
            self._processes.set_forkserver_preload([SERVER, worker.__name__, *preload])
            # The server ignores Ctrl-C only once it has imported; it inherits what is blocked here. The
            # tracker is started before, because that would unblock it again.
            resource_tracker.ensure_running()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            with _threads(self._slots[0].threads):
                forkserver.ensure_running()  # returns at once; the server imports while the driver goes on
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def slots(self) -> Sequence[Slot]:
        """All slots, busy or free."""
        return tuple(self._slots)

    def submit(self, job: Job, slot: Slot) -> None:
        """Start `job` in a process on `slot`, or together with those that join it."""
        if self._seats.take(job, slot, any(running.slot.id == slot.id for running in self._busy)):
            self._begin(slot)

    def _begin(self, slot: Slot) -> None:
        environment = {**os.environ, **(self._mps.environment if self._mps else {})}
        work = worker.Work(self._seats.begin(slot), slot, environment)
        message = reduction.ForkingPickler.dumps(work)  # what does not pickle shows before a process is begun
        hired = self._hire(slot)
        hired.work = work
        hired.left = {job.trial: job for job in work.jobs}
        allowed = self._trial_timeout * len(work.jobs) if self._trial_timeout else float("inf")
        hired.deadline = time.monotonic() + allowed
        self._busy.append(hired)
        with contextlib.suppress(OSError):  # one that has just died is heard of in the next poll
            hired.pipe.send_bytes(message)

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait for what the jobs have to say."""
        self._begin_all()
        if not self._busy:
            return []
        waited: list[connection.Connection | int] = []
        for running in self._busy:
            waited += [running.pipe, running.process.sentinel]
        ready = connection.wait(waited, 0)
        if not ready:
            self._prepare()
            ready = connection.wait(waited, self._until_deadline(timeout))
        events: list[Event] = []
        for running in list(self._busy):
            if running.pipe in ready or running.process.sentinel in ready:
                events += self._read(running)
        return events + self._overdue()

    def answer(self, trial: int, go: bool) -> None:
        """Pass on the pruner's word."""
        self._send(trial, worker.Answer(trial, go))

    def interrupt(self, trial: int) -> None:
        """Ask the job to end at its next chance."""
        self._begin_all()
        self._send(trial, worker.Interrupt(trial))

    def cancel(self, trial: int) -> None:
        """Kill the job's process and all it has started."""
        self._begin_all()
        if running := self._worker_of(trial):
            running.lost_because = "cancelled"
            _kill(running.process)

    def close(self) -> None:
        """Kill what still runs, and wait until every process is gone; then `mps` is ended."""
        for each in (*self._busy, *self._idle):
            self._dismiss(each)
        for process in self._leaving:
            process.join()
        self._seats.clear()
        self._busy.clear()
        self._idle.clear()
        self._leaving.clear()
        if self._mps:
            self._mps.close()
            self._mps = None

    def _begin_all(self) -> None:
        for slot in self._seats.waiting():
            self._begin(slot)

    def _worker_of(self, trial: int) -> _Worker | None:
        return next((running for running in self._busy if trial in running.left), None)

    def _hire(self, slot: Slot) -> _Worker:
        """The slot's own worker if it waits for a job, else one that has had none, else a new one."""
        own = [idle for idle in self._idle if idle.work and idle.slot.id == slot.id]
        for idle in own + [idle for idle in self._idle if idle.work is None]:
            self._idle.remove(idle)
            if idle.process.is_alive():
                return idle
            self._dismiss(idle)
        return self._start()

    def _prepare(self) -> None:
        """Have a process ready for the next job, if jobs have one each and it costs next to no memory."""
        if self._trials_per_worker == 1 and self._forks and not self._idle:
            with contextlib.suppress(OSError, EOFError):  # a server that has just died; submit will see
                self._idle.append(self._start())

    def _start(self) -> _Worker:
        ours, theirs = self._processes.Pipe()
        process = self._processes.Process(  # type: ignore[attr-defined]  # every context has it
            target=worker.run, args=(theirs, self._trials_per_worker, self._preload), name="seqsweep-worker"
        )
        with _without_main():
            _launch(process)
        theirs.close()  # so that its end closes with the process
        return _Worker(process, ours)

    def _send(self, trial: int, message: object) -> None:
        # A process that has just died is heard of in the next poll.
        if running := self._worker_of(trial):
            with contextlib.suppress(OSError):
                running.pipe.send(message)

    def _read(self, running: _Worker) -> list[Event]:
        """All messages that are there; the process's end after its last message."""
        over = not running.process.is_alive()  # asked before reading, so that no last word is missed
        events: list[Event] = []
        try:
            while running.pipe.poll():
                message = running.pipe.recv()
                if isinstance(message, worker.Done):
                    return [*events, self._done(running, message)]
                if isinstance(message, Ended):
                    del running.left[message.trial]
                events.append(message)
        except (EOFError, OSError):
            over = True
        if over:
            running.process.join(EXIT_TIME)
            events += self._lost(running, _reason(running))
        return events

    def _done(self, running: _Worker, done: worker.Done) -> Ended:
        """The slot is free, whatever the process still does."""
        self._busy.remove(running)
        if done.again and running.lost_because is None:
            self._idle.append(running)
        else:
            self._dismiss(running)
        if self._packing:
            self._packing.learn(running.slot.devices, done.ended.device_memory, done.device_size)
            self._slots = self._packing.open(self._slots)
        return done.ended

    def _lost(self, running: _Worker, reason: str) -> list[Event]:
        self._busy.remove(running)
        self._dismiss(running)
        return [SlotLost(job.trial, job.attempt, running.slot.id, reason) for job in running.left.values()]

    def _dismiss(self, leaving: _Worker) -> None:
        """End the process, with what its jobs have left behind, and wait for nothing."""
        _kill(leaving.process)
        leaving.pipe.close()
        self._leaving = [process for process in (*self._leaving, leaving.process) if process.is_alive()]

    def _until_deadline(self, timeout: float | None) -> float | None:
        left = min(running.deadline for running in self._busy) - time.monotonic()
        if left == float("inf"):
            return timeout
        return max(0.0, left if timeout is None else min(left, timeout))

    def _overdue(self) -> list[Event]:
        now = time.monotonic()
        limit = f"hydra.launcher.trial_timeout={self._trial_timeout} seconds"
        events: list[Event] = []
        for running in [running for running in self._busy if running.deadline <= now]:
            assert running.work
            count = len(running.work.jobs)
            if count == 1:
                (job,), failed = running.work.jobs, Failed(f"no end after {limit}")
                self._lost(running, failed.text)
                events.append(Ended(job.trial, job.attempt, failed, self._trial_timeout or 0.0))
            else:
                events += self._lost(running, f"{count} as one: no end after {count} x {limit}")
        return events


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """For a process begun here: numpy's libraries start their threads once, as they are imported."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keeps multiprocessing from running the user's script again in every worker.

    What a job needs of it comes pickled by value (cloudpickle); running it again
    would cost its imports each time, and start a second driver where it has no
    ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _launch(process: BaseProcess) -> None:
    """Start it. That the warm server has been killed may show only here; the next try makes a new one."""
    for _ in range(10):
        try:
            process.start()
        except (EOFError, ConnectionError):
            time.sleep(0.1)  # until the system counts the server as dead, too
        else:
            return
    process.start()


def _kill(process: BaseProcess) -> None:
    """Kill the process and its session; either may be gone already."""
    if process.pid is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        if process.is_alive():
            process.kill()


def _reason(running: _Worker) -> str:
    if running.lost_because:
        return running.lost_because
    code = running.process.exitcode
    if code is not None and code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with status {code}"
