"""The loop: while budget is left and a seat is free, ask; whatever ends first is told first.

A slot of several seats is filled while it is empty. Its first trial is whatever is next;
then those join it that may run with it as one. Others that were asked for on the way
wait, and have the next slots; those that have not begun when a limit is reached are put
back, for the next driver to ask for first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from optuna.trial import FrozenTrial, TrialState

from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Executor,
    Failed,
    Infeasible,
    Interrupted,
    Job,
    Outcome,
    Report,
    Slot,
    SlotLost,
    Stacking,
    Started,
)
from seqsweep.sweeping.study import Study, Suggestion
from seqsweep.sweeping.timeline import Timeline

TICK = 0.5
"""Seconds between looks at the clock and at Ctrl-C while nothing happens."""


class Observer(Protocol):
    """Follows a study as it runs; called in the driver's own thread."""

    def submitted(self, suggestion: Suggestion, job: Job, slot: Slot) -> None:
        """An attempt at a trial begins."""

    def reported(self, suggestion: Suggestion, value: float, step: int) -> None:
        """A running trial handed in an intermediate value."""

    def ended(self, suggestion: Suggestion, state: str, outcome: Outcome, event: Ended | None) -> None:
        """A trial is over and told: complete, pruned, failed or infeasible."""

    def copied(self, suggestion: Suggestion, original: FrozenTrial) -> None:
        """A trial took the values of an earlier one of the same configuration, and was not trained."""

    def message(self, text: str) -> None:
        """Something a person should know of."""

    def ticked(self) -> None:
        """Every `TICK` seconds at least, whether anything has happened or not."""


@dataclass(frozen=True)
class Budget:
    """When to stop asking. `n_trials` is a total: what is stored counts."""

    n_trials: int
    timeout: float | None = None
    patience: int | None = None
    max_failures: int | None = None
    retries: int = 1


@dataclass(eq=False)
class _Attempt:
    """One attempt at a trial: waiting for a seat, or running on `slot`."""

    suggestion: Suggestion
    deaths: int = 0
    """How often its process has died while nothing else ran in it."""
    alone: bool = False
    """Whether nothing may run beside it on its device."""
    single: bool = False
    """Whether nothing may run with it as one."""
    slot: Slot = field(default_factory=lambda: Slot(id=-1))
    crowded: bool = False
    """Whether anything has run beside it on its device."""
    shares: bool = False
    """Whether it runs with others as one."""
    job: Job | None = None
    """Once it has been made."""

    def beside(self, slot: Slot) -> bool:
        """Whether it runs on a device of `slot`; without devices all slots share the machine's memory."""
        mine, other = self.slot.devices, slot.devices
        return mine == other or not set(mine).isdisjoint(other)


@dataclass
class Loop:
    """Runs a study's trials on an executor until the budget is spent or `stop` is called."""

    study: Study
    executor: Executor
    make_job: Callable[[Suggestion], Job]
    budget: Budget
    observers: Sequence[Observer] = ()
    stopping: bool = False
    _running: dict[int, _Attempt] = field(default_factory=dict)
    _waiting: list[_Attempt] = field(default_factory=list)
    _emptying: list[_Attempt] = field(default_factory=list)
    """Attempts that wait until their device is empty."""

    def run(self) -> None:
        """Until nothing runs and nothing more is to be asked.

        Trials that are cut short stay in the store as running.
        """
        self._began = time.monotonic()
        self._timeline = Timeline(self.study.optuna)
        self._count_stored()
        self._waiting = [_Attempt(suggestion) for suggestion in self.study.unfinished()]
        try:
            self._run()
            self._put_back()
        finally:
            self._timeline.save()

    def _run(self) -> None:
        interrupted = False
        while True:
            self._fill()
            if not self._running:
                return
            for event in self.executor.poll(TICK):
                self._handle(event)
            for observer in self.observers:
                observer.ticked()
            self._timeline.save_if_due()
            if self.stopping and not interrupted:
                interrupted = True
                for trial in list(self._running):
                    self.executor.interrupt(trial)

    def _put_back(self) -> None:
        """Let what was asked for and has not begun wait in the store."""
        drawn = [attempt.suggestion for attempt in self._waiting if attempt.suggestion.attempt == 1]
        for suggestion in drawn:
            self.study.put_back(suggestion)
        if drawn and not self.stopping:
            numbers = ", ".join(str(suggestion.number) for suggestion in drawn)
            for observer in self.observers:
                observer.message(f"a limit is reached; trials that would be next: {numbers}")

    def stop(self) -> None:
        """Ask for no new trials and let the running ones write a checkpoint; safe in a signal handler."""
        self.stopping = True

    def _count_stored(self) -> None:
        told = self.study.finished()
        self._told = len(told)
        self._failures = sum(trial.state == TrialState.FAIL for trial in told)
        latest = max((trial.number for trial in self.study.front()), default=None)
        self._since_best = 0 if latest is None else sum(trial.number > latest for trial in told)

    def _fill(self) -> None:
        slots = self.executor.slots()
        self._timeline.offered(slots)
        for place, slot in enumerate(slots):
            if self._has_room(slot) and (first := self._following(slot)) is not None:
                self._submit(first, slot)
                self._join(first, slot, slots[place + 1 :])

    def _join(self, first: _Attempt, slot: Slot, others: Sequence[Slot]) -> None:
        """Give the slot's other seats to trials that may run with its first as one.

        Where few are left they are dealt evenly to the slots that are free, `others` among them.
        """
        stack = self._job(first).stack
        if stack is None or slot.seats == 1 or first.single or first.alone:
            return
        free = 1 + sum(self._has_room(other) for other in others)
        for _ in range(min(slot.seats, math.ceil((1 + self._left()) / free)) - 1):
            companion = self._companion(stack, slot)
            if companion is None:
                return
            self._submit(companion, slot)

    def _companion(self, stack: Stacking, slot: Slot) -> _Attempt | None:
        """The first of those that wait which may join, else a new one; new ones that may not wait."""
        if self.stopping:
            return None
        for attempt in self._startable():
            if not attempt.single and self._job(attempt).stack == stack:
                self._waiting.remove(attempt)
                return attempt
        while len(self._waiting) < slot.seats and (asked := self._ask()) is not None:
            if self._job(asked).stack == stack:
                return asked
            asked.suggestion.waited = True
            self._waiting.append(asked)
        return None

    def _left(self) -> float:
        """How many trials may be still to begin."""
        if self._spent():
            return len(self._startable())
        begun = self._told + len(self._running) + len(self._emptying)
        return max(len(self._waiting), min(self.budget.n_trials, self.study.size) - begun)

    def _has_room(self, slot: Slot) -> bool:
        beside = [attempt for attempt in self._running.values() if attempt.beside(slot)]
        if any(attempt.beside(slot) for attempt in self._emptying):
            return not beside
        return not any(attempt.alone or attempt.slot.id == slot.id for attempt in beside)

    def _following(self, slot: Slot) -> _Attempt | None:
        if self.stopping or self._late():
            return None
        for attempt in self._emptying:
            if attempt.beside(slot):
                self._emptying.remove(attempt)
                return attempt
        if (first := next(iter(self._startable()), None)) is not None:
            self._waiting.remove(first)
            return first
        return self._ask()

    def _startable(self) -> list[_Attempt]:
        """Those that wait and may begin: past the time none, past another limit those that had begun."""
        if not self._spent():
            return self._waiting
        return [] if self._late() else [each for each in self._waiting if each.suggestion.attempt > 1]

    def _ask(self) -> _Attempt | None:
        """A new trial, if one may be asked for."""
        while self._may_ask():
            suggestion = self.study.ask()
            if suggestion.copy_of is None:
                return _Attempt(suggestion)
            self._copy(suggestion, suggestion.copy_of)
        return None

    def _copy(self, suggestion: Suggestion, original: FrozenTrial) -> None:
        """A configuration that has completed takes its values again without training."""
        state = self.study.tell(suggestion, Complete(tuple(original.values)), 0.0)
        self._count(state, suggestion.number)
        for observer in self.observers:
            observer.copied(suggestion, original)

    def _may_ask(self) -> bool:
        begun = self._told + len(self._running) + len(self._emptying) + len(self._waiting)
        most = min(self.budget.n_trials, self.study.size)
        return not (self.study.exhausted or begun >= most or self._spent())

    def _late(self) -> bool:
        """Whether this driver's time is over."""
        timeout = self.budget.timeout
        return timeout is not None and time.monotonic() - self._began >= timeout

    def _spent(self) -> bool:
        """Whether a limit is reached, the number of trials aside."""
        budget = self.budget
        return (
            self._late()
            or (budget.patience is not None and self._since_best >= budget.patience)
            or (budget.max_failures is not None and self._failures >= budget.max_failures)
        )

    def _job(self, attempt: _Attempt) -> Job:
        if attempt.job is None:
            attempt.job = self.make_job(attempt.suggestion)
        return attempt.job

    def _submit(self, attempt: _Attempt, slot: Slot) -> None:
        suggestion = attempt.suggestion
        self.study.begin(suggestion)
        job = self._job(attempt)
        neighbours = [other for other in self._running.values() if other.beside(slot)]
        attempt.slot, attempt.crowded = slot, bool(neighbours)
        for other in neighbours:
            other.crowded = True
            if other.slot.id == slot.id:
                other.shares = attempt.shares = True
        self._running[suggestion.number] = attempt
        self.executor.submit(job, slot)
        self._timeline.begun(suggestion.number, suggestion.attempt, slot)
        for observer in self.observers:
            observer.submitted(suggestion, job, slot)

    def _handle(self, event: Event) -> None:
        attempt = self._running.get(event.trial)
        if attempt is None or attempt.suggestion.attempt != event.attempt:
            return  # from an attempt that has been given up
        if isinstance(event, Report):
            self._report(attempt.suggestion, event)
        elif isinstance(event, Ended):
            self._ended(attempt, event.outcome, event)
        elif isinstance(event, SlotLost):
            self._lost(attempt, event)
        else:
            assert isinstance(event, Started)

    def _report(self, suggestion: Suggestion, event: Report) -> None:
        go = self.study.report(suggestion, event.value, event.step)
        self.executor.answer(event.trial, go)
        for observer in self.observers:
            observer.reported(suggestion, event.value, event.step)

    def _ended(self, attempt: _Attempt, outcome: Outcome, event: Ended | None) -> None:
        del self._running[attempt.suggestion.number]
        if isinstance(outcome, Interrupted):
            self._timeline.ended(attempt.suggestion.number, "interrupted")
            return  # stays running in the store; the next driver goes on with it
        if isinstance(outcome, Infeasible) and outcome.memory and attempt.crowded:
            self._timeline.ended(attempt.suggestion.number, "crowded")
            # The stack itself may have been too large: by itself it may bear what runs beside it.
            self._again(attempt, self._waiting if attempt.shares else self._emptying, outcome.reason)
            return
        state = self.study.tell(attempt.suggestion, outcome, event.seconds if event else 0.0)
        self._timeline.ended(attempt.suggestion.number, state)
        self._count(state, attempt.suggestion.number)
        for observer in self.observers:
            observer.ended(attempt.suggestion, state, outcome, event)

    def _again(self, attempt: _Attempt, queue: list[_Attempt], why: str) -> None:
        """Another attempt at the same trial, which goes on from its checkpoint."""
        attempt.suggestion.attempt += 1
        alone = attempt.alone or queue is self._emptying
        how = " by itself" if attempt.shares else " with nothing beside it" if alone else ""
        for observer in self.observers:
            observer.message(f"trial {attempt.suggestion.number}: {why}; trying again{how}")
        # Whoever brought a process down shall not do so to others a second time: from now on it is single.
        queue.append(_Attempt(attempt.suggestion, attempt.deaths, alone, True, attempt.slot))

    def _count(self, state: str, number: int) -> None:
        self._told += 1
        self._failures += state == "failed"
        # The front costs a look at all trials: only where somebody waits for it.
        improves = self.budget.patience is not None and state == "complete" and self._leads(number)
        self._since_best = 0 if improves else self._since_best + 1

    def _leads(self, number: int) -> bool:
        return any(trial.number == number for trial in self.study.front())

    def _lost(self, attempt: _Attempt, event: SlotLost) -> None:
        if self.stopping:
            del self._running[attempt.suggestion.number]
            self._timeline.ended(attempt.suggestion.number, "lost")
        elif not attempt.shares and attempt.deaths >= self.budget.retries:
            self._ended(attempt, Failed(f"{event.reason}, {attempt.deaths + 1} times"), None)
        else:
            del self._running[attempt.suggestion.number]
            self._timeline.ended(attempt.suggestion.number, "lost")
            attempt.deaths += not attempt.shares  # of several it is not known which one was the cause
            self._again(attempt, self._emptying if attempt.alone else self._waiting, event.reason)
