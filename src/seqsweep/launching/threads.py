"""ThreadExecutor: jobs in threads of this process, for tests and for measuring the loop itself."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from seqsweep.launching import entry
from seqsweep.protocol import Ended, Event, Job, Report, Slot, Started


class _ThreadContext:
    def __init__(self, job: Job, slot: Slot, events: queue.SimpleQueue[Event]) -> None:
        self.trial = job.trial
        self.attempt = job.attempt
        self.directory = Path(job.directory)
        self.slot = slot
        self.interrupted = False
        self.answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._events = events

    def report(self, value: float, step: int) -> bool:
        if self.interrupted:
            return False
        self._events.put(Report(self.trial, self.attempt, float(value), int(step)))
        return self.answers.get()

    def stop(self) -> None:
        self.interrupted = True
        self.answers.put(False)


class ThreadExecutor:
    """See `seqsweep.protocol.Executor`; `cancel` can only ask, as a thread cannot be killed."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running: dict[int, tuple[_ThreadContext, threading.Thread]] = {}

    def __enter__(self) -> ThreadExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def slots(self) -> Sequence[Slot]:
        """All slots, busy or free."""
        return self._slots

    def submit(self, job: Job, slot: Slot) -> None:
        """Start `job` in a thread."""
        if sum(context.slot.id == slot.id for context, _ in self._running.values()) >= slot.seats:
            raise ValueError(f"slot {slot.id} has no free seat")
        context = _ThreadContext(job, slot, self._events)
        thread = threading.Thread(target=self._run, args=(job, context), daemon=True)
        self._running[job.trial] = (context, thread)
        thread.start()

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait for what the jobs have to say."""
        if not self._running:
            return []
        try:
            events = [self._events.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._events.empty():
            events.append(self._events.get())
        for event in events:
            if isinstance(event, Ended):
                self._running.pop(event.trial)[1].join()
        return events

    def answer(self, trial: int, go: bool) -> None:
        """Pass on the pruner's word."""
        if trial in self._running:
            self._running[trial][0].answers.put(go)

    def interrupt(self, trial: int) -> None:
        """Ask the job to end at its next chance."""
        if trial in self._running:
            self._running[trial][0].stop()

    def cancel(self, trial: int) -> None:
        """Ask, too."""
        self.interrupt(trial)

    def close(self) -> None:
        """Ask everything to end, and wait."""
        for context, thread in self._running.values():
            context.stop()
            thread.join()
        self._running.clear()

    def _run(self, job: Job, context: _ThreadContext) -> None:
        began = time.monotonic()
        self._events.put(Started(job.trial, job.attempt, os.getpid()))
        outcome = entry.call(job, context)
        self._events.put(Ended(job.trial, job.attempt, outcome, time.monotonic() - began))
