"""LocalExecutor: a fresh process a job, on this machine.

Where the system can fork, processes come from a warm server that has imported
the heavy libraries and run no tensor work, so that a job's first line runs
some 0.03 s after `submit`; elsewhere each is spawned.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType, TracebackType

from seqsweep.launching import worker
from seqsweep.protocol import Ended, Event, Failed, Job, Slot, SlotLost

EXIT_TIME = 5.0
"""Seconds a process may take to go once its outcome has been read."""


@dataclass
class _Running:
    job: Job
    slot: Slot
    process: BaseProcess
    pipe: connection.Connection
    deadline: float
    lost_because: str | None = None


class LocalExecutor:
    """Runs jobs in processes of this machine; see `seqsweep.protocol.Executor`.

    `preload` names modules the warm server imports once for all jobs; importing
    them must start no thread and run no tensor operation. `trial_timeout` is in
    seconds; a job that takes longer is ended and has failed.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        preload: Sequence[str] = (),
        trial_timeout: float | None = None,
        start_method: str | None = None,
    ) -> None:
        self._slots = tuple(slots)
        self._trial_timeout = trial_timeout
        self._running: dict[int, _Running] = {}
        method = start_method or ("forkserver" if sys.platform == "linux" else "spawn")
        self._processes = multiprocessing.get_context(method)
        if method == "forkserver":
            self._processes.set_forkserver_preload([worker.__name__, *preload])
            # The server ignores Ctrl-C only once it has imported; it inherits what is blocked here. The
            # tracker is started before, because that would unblock it again.
            resource_tracker.ensure_running()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
        return self._slots

    def submit(self, job: Job, slot: Slot) -> None:
        """Start `job` in a fresh process on `slot`."""
        if sum(running.slot.id == slot.id for running in self._running.values()) >= slot.seats:
            raise ValueError(f"slot {slot.id} has no free seat")
        ours, theirs = self._processes.Pipe()
        process = self._processes.Process(  # type: ignore[attr-defined]  # every context has it
            target=worker.run, args=(job, slot, theirs, dict(os.environ)), name=f"seqsweep-trial-{job.trial}"
        )
        with _without_main():
            process.start()
        theirs.close()  # so that its end closes with the process
        deadline = time.monotonic() + self._trial_timeout if self._trial_timeout else float("inf")
        self._running[job.trial] = _Running(job, slot, process, ours, deadline)

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait for what the jobs have to say."""
        if not self._running:
            return []
        waited: list[connection.Connection | int] = []
        for running in self._running.values():
            waited += [running.pipe, running.process.sentinel]
        ready = set(connection.wait(waited, self._until_deadline(timeout)))
        events: list[Event] = []
        for running in list(self._running.values()):
            if running.pipe in ready or running.process.sentinel in ready:
                events += self._read(running)
        return events + self._overdue()

    def answer(self, trial: int, go: bool) -> None:
        """Pass on the pruner's word."""
        self._send(trial, worker.Answer(go))

    def interrupt(self, trial: int) -> None:
        """Ask the job to end at its next chance."""
        self._send(trial, worker.Interrupt())

    def cancel(self, trial: int) -> None:
        """Kill the job's process and all it has started."""
        if running := self._running.get(trial):
            running.lost_because = "cancelled"
            _kill(running.process)

    def close(self) -> None:
        """Kill what still runs."""
        for running in self._running.values():
            _kill(running.process)
            running.process.join()
            running.pipe.close()
        self._running.clear()

    def _send(self, trial: int, message: object) -> None:
        # A process that has just died is heard of in the next poll.
        if running := self._running.get(trial):
            with contextlib.suppress(OSError):
                running.pipe.send(message)

    def _read(self, running: _Running) -> list[Event]:
        """All messages that are there; the process's end after its last message."""
        over = not running.process.is_alive()  # asked before reading, so that no last word is missed
        events: list[Event] = []
        try:
            while running.pipe.poll():
                event: Event = running.pipe.recv()
                events.append(event)
                if isinstance(event, Ended):
                    self._retire(running)
                    return events
        except (EOFError, OSError):
            over = True
        if over:
            self._retire(running)
            job = running.job
            events.append(SlotLost(job.trial, job.attempt, running.slot.id, _reason(running)))
        return events

    def _retire(self, running: _Running) -> None:
        del self._running[running.job.trial]
        running.process.join(EXIT_TIME)
        _kill(running.process)  # also what the job has left running behind it
        running.process.join()
        running.pipe.close()

    def _until_deadline(self, timeout: float | None) -> float | None:
        left = min(running.deadline for running in self._running.values()) - time.monotonic()
        if left == float("inf"):
            return timeout
        return max(0.0, left if timeout is None else min(left, timeout))

    def _overdue(self) -> list[Event]:
        now = time.monotonic()
        late = [running for running in self._running.values() if running.deadline <= now]
        for running in late:
            _kill(running.process)
            self._retire(running)
        text = f"no end after hydra.launcher.trial_timeout={self._trial_timeout} seconds"
        return [
            Ended(running.job.trial, running.job.attempt, Failed(text), self._trial_timeout or 0.0)
            for running in late
        ]


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


def _kill(process: BaseProcess) -> None:
    """Kill the process and its session; either may be gone already."""
    if process.pid is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        if process.is_alive():
            process.kill()


def _reason(running: _Running) -> str:
    if running.lost_because:
        return running.lost_because
    code = running.process.exitcode
    if code is not None and code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with status {code}"
