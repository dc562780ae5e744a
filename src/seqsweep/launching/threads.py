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
from seqsweep.launching.answers import Answers
from seqsweep.launching.seats import Seats
from seqsweep.protocol import Ended, Event, Job, Report, Slot, Started


class _ThreadContext:
    def __init__(self, job: Job, slot: Slot, events: queue.SimpleQueue[Event]) -> None:
        self.trial = job.trial
        self.attempt = job.attempt
        self.directory = Path(job.directory)
        self.slot = slot
        self.interrupted = False
        self.asks = job.asks
        self.answers = Answers(job.asks)
        self._events = events

    def report(self, value: float, step: int) -> bool:
        if self.interrupted:
            return False
        report = Report(self.trial, self.attempt, float(value), int(step))
        return self.answers.report(lambda: self._events.put(report))

    def settle(self) -> bool:
        return self.answers.settle()

    def stop(self) -> None:
        self.interrupted = True
        self.answers.give(False)


class ThreadExecutor:
    """See `seqsweep.protocol.Executor`; `cancel` can only ask, as a thread cannot be killed."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._seats = Seats()
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
        """Start `job` in a thread, or together with those that join it."""
        busy = any(context.slot.id == slot.id for context, _ in self._running.values())
        if self._seats.take(job, slot, busy):
            self._begin(slot)

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait for what the jobs have to say."""
        self._begin_all()
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
                _, thread = self._running.pop(event.trial)
                if not any(thread is other for _, other in self._running.values()):
                    thread.join()
        return events

    def answer(self, trial: int, go: bool) -> None:
        """Pass on the pruner's word."""
        if trial in self._running:
            self._running[trial][0].answers.give(go)

    def interrupt(self, trial: int) -> None:
        """Ask the job to end at its next chance."""
        self._begin_all()
        if trial in self._running:
            self._running[trial][0].stop()

    def cancel(self, trial: int) -> None:
        """Ask, too."""
        self.interrupt(trial)

    def close(self) -> None:
        """Ask everything to end, and wait."""
        for context, _ in self._running.values():
            context.stop()
        for _, thread in self._running.values():
            thread.join()
        self._seats.clear()
        self._running.clear()

    def _begin_all(self) -> None:
        for slot in self._seats.waiting():
            self._begin(slot)

    def _begin(self, slot: Slot) -> None:
        jobs = self._seats.begin(slot)
        contexts = [_ThreadContext(job, slot, self._events) for job in jobs]
        thread = threading.Thread(target=self._run, args=(jobs, contexts), daemon=True)
        self._running |= {context.trial: (context, thread) for context in contexts}
        thread.start()

    def _run(self, jobs: Sequence[Job], contexts: Sequence[_ThreadContext]) -> None:
        began = time.monotonic()
        for job in jobs:
            self._events.put(Started(job.trial, job.attempt, os.getpid()))
        for place, outcome in entry.outcomes(jobs, contexts):
            job = jobs[place]
            self._events.put(Ended(job.trial, job.attempt, outcome, time.monotonic() - began))
