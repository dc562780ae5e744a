"""The law of executors whose slots have several seats. Inherit `StackContract` and say how to make one."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from contracts.executor_contract import PATIENCE, complete, outcome_of, until, until_over
from seqsweep.errors import ConfigError
from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Executor,
    Failed,
    Infeasible,
    Interrupted,
    Job,
    JobContext,
    Outcome,
    Pruned,
    Report,
    SlotLost,
    Stacking,
    Started,
)

Ends = Iterator[tuple[int, Outcome]]


def steps(payloads: list[int], contexts: list[JobContext]) -> Ends:
    """Each member takes so many steps, in turn with the others, and reports each."""
    left = dict(enumerate(payloads))
    step = 0
    while left:
        for place, last in list(left.items()):
            context = contexts[place]
            if step < last and context.report(context.trial + step / 10, step):
                continue
            del left[place]
            detail = [str(context.directory), context.attempt, context.slot.id, len(payloads), os.getpid()]
            if context.interrupted:
                yield place, Interrupted()
            else:
                yield place, Complete((float(step),), detail) if step == last else Pruned(float(step))
        step += 1


def until_interrupted(payloads: list[str], contexts: list[JobContext]) -> Ends:
    """Members go on until they are interrupted, and then write to their folders."""
    left = dict(enumerate(contexts))
    while left:
        for place, context in list(left.items()):
            if context.interrupted:
                del left[place]
                (context.directory / "last").touch()
                yield place, Interrupted()
        time.sleep(0.01)


def goes_wrong(payloads: list[str], contexts: list[JobContext]) -> Ends:
    """The first member ends well, and then it happens."""
    yield 0, Complete((0.0,))
    match payloads[0]:
        case "value":
            raise ValueError("no good")
        case "usage":
            raise ConfigError("model.hidden_size=0: expected more")
        case "memory":
            raise MemoryError
        case "exit":
            raise SystemExit(3)
        case "twice":
            yield 0, Complete((1.0,))
        case "string":
            yield 1, "a string"  # type: ignore[misc]
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            signal.pause()


def prints(payloads: list[str], contexts: list[JobContext]) -> Ends:
    for place, payload in enumerate(payloads):
        print(payload, flush=True)
        yield place, Complete((0.0,))


def touches(payloads: list[str], contexts: list[JobContext]) -> Ends:
    for place, payload in enumerate(payloads):
        Path(payload).touch()
        yield place, Complete((0.0,))


def as_usual(events: Sequence[Event]) -> dict[int, list[Event]]:
    """The events of each trial; each begins, and ends once."""
    trials: dict[int, list[Event]] = {}
    for event in events:
        trials.setdefault(event.trial, []).append(event)
    for own in trials.values():
        assert isinstance(own[0], Started)
        assert [isinstance(event, Ended | SlotLost) for event in own] == [False] * (len(own) - 1) + [True]
    return trials


def ends(events: Sequence[Event]) -> dict[int, Outcome]:
    return {event.trial: event.outcome for event in events if isinstance(event, Ended)}


class StackContract(ABC):
    """What holds where jobs of one stack share a slot."""

    isolates = True
    """Whether jobs have a process that can die and be killed."""

    @abstractmethod
    def make(self, slots: int, seats: int) -> AbstractContextManager[Executor]:
        """An executor with so many slots of so many seats."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        with self.make(2, 3) as executor:
            yield executor

    @pytest.fixture
    def job(self, tmp_path: Path) -> Callable[..., Job]:
        def build(
            trial: int, entry: Any, payload: Any = None, *, key: str | None = "a", attempt: int = 1
        ) -> Job:
            directory = tmp_path / str(trial)
            directory.mkdir(exist_ok=True)
            if key is None:
                return Job(trial, entry, payload, str(directory), attempt)
            return Job(trial, complete, payload, str(directory), attempt, Stacking(entry, key))

        return build

    def test_they_run_together_each_as_itself(self, executor: Executor, job: Any) -> None:
        slot = executor.slots()[1]
        for trial, last in ((7, 2), (3, 1)):
            executor.submit(job(trial, steps, last, attempt=trial), slot)
        events = as_usual(until_over(executor, 2, answer=lambda report: True))
        pids = set()
        for trial, last in ((7, 2), (3, 1)):
            started, *reports, ended = events[trial]
            assert isinstance(started, Started) and isinstance(ended, Ended)
            pids |= {started.pid, ended.outcome.detail.pop()}  # type: ignore[union-attr]
            assert ended.outcome == Complete((float(last),), [job(trial, steps).directory, trial, slot.id, 2])
            assert (started.attempt, ended.attempt) == (trial, trial)
            assert reports == [Report(trial, trial, trial + step / 10, step) for step in range(last)]
        assert len(pids) == 1
        assert events[3][-1].seconds <= events[7][-1].seconds  # type: ignore[union-attr]

    def test_a_full_slot_begins_at_once(self, executor: Executor, job: Any, tmp_path: Path) -> None:
        marks = [tmp_path / str(trial) / "mark" for trial in range(3)]
        for trial, mark in enumerate(marks):
            assert not any(mark.exists() for mark in marks)
            executor.submit(job(trial, touches, str(mark)), executor.slots()[0])
        end = time.monotonic() + PATIENCE
        while not all(mark.exists() for mark in marks):
            assert time.monotonic() < end
        until_over(executor, 3)

    def test_one_that_nothing_joins_is_run_by_its_own_entry(self, executor: Executor, job: Any) -> None:
        executor.submit(job(5, steps, 1.0), executor.slots()[0])
        assert outcome_of(until_over(executor, 1)).detail["slot"] == 0  # type: ignore[union-attr]

    def test_a_job_without_a_stack_has_the_slot_for_itself(self, executor: Executor, job: Any) -> None:
        slot = executor.slots()[0]
        executor.submit(job(0, complete, 1.0, key=None), slot)
        for key in (None, "a"):
            with pytest.raises(ValueError, match="no free seat"):
                executor.submit(job(1, steps, 1, key=key), slot)
        assert outcome_of(until_over(executor, 1)).values == (1.0,)  # type: ignore[union-attr]

    def test_jobs_of_other_stacks_are_refused(self, executor: Executor, job: Any) -> None:
        slot = executor.slots()[0]
        executor.submit(job(0, steps, 1), slot)
        for other in (
            job(1, complete, 1.0, key=None),
            job(1, steps, 1, key="b"),
            job(1, touches, ""),
        ):
            with pytest.raises(ValueError, match="no free seat for a job of another stack"):
                executor.submit(other, slot)
        executor.submit(job(1, steps, 1, key="b"), executor.slots()[1])
        assert ends(until_over(executor, 2, answer=lambda report: True)).keys() == {0, 1}

    def test_nobody_joins_what_has_begun(self, executor: Executor, job: Any) -> None:
        slot = executor.slots()[0]
        executor.submit(job(0, steps, 1), slot)
        executor.submit(job(1, steps, 2), slot)
        until(executor, lambda event: isinstance(event, Report), count=1)
        with pytest.raises(ValueError, match="no free seat"):
            executor.submit(job(2, steps, 1), slot)
        executor.answer(0, True)
        until(executor, lambda event: isinstance(event, Report), count=1)
        executor.answer(1, True)
        until_over(executor, 1)
        with pytest.raises(ValueError, match="no free seat"):  # one of them goes on
            executor.submit(job(2, steps, 1), slot)
        executor.answer(1, True)
        until_over(executor, 1)
        executor.submit(job(2, steps, 0), slot)
        assert ends(until_over(executor, 1)).keys() == {2}

    def test_a_full_slot_refuses(self, executor: Executor, job: Any) -> None:
        for trial in range(3):
            executor.submit(job(trial, steps, 0), executor.slots()[0])
        with pytest.raises(ValueError, match="no free seat"):
            executor.submit(job(3, steps, 0), executor.slots()[0])
        until_over(executor, 3)

    def test_the_pruner_stops_one_and_the_others_go_on(self, executor: Executor, job: Any) -> None:
        for trial in range(3):
            executor.submit(job(trial, steps, 4), executor.slots()[0])
        events = until_over(executor, 3, answer=lambda report: (report.trial, report.step) != (1, 1))
        outcomes = ends(events)
        assert outcomes.pop(1) == Pruned(1.0)
        assert all(isinstance(outcome, Complete) for outcome in outcomes.values())
        # It is told before the others have taken another step.
        ended = next(place for place, event in enumerate(events) if isinstance(event, Ended))
        assert not any(isinstance(event, Report) and event.step > 1 for event in events[:ended])

    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            ("value", Failed("ValueError: no good")),
            ("usage", Failed("model.hidden_size=0: expected more", usage=True)),
            ("memory", Infeasible("MemoryError", memory=True)),
            ("exit", Failed("SystemExit: 3")),
            ("twice", Failed("KeyError: 0")),
            ("return", Failed("ValueError: the stack ended without an outcome for this trial")),
        ],
    )
    def test_what_ends_a_stack_ends_those_that_were_left(
        self, executor: Executor, job: Any, what: str, expected: Outcome
    ) -> None:
        for trial in range(3):
            executor.submit(job(trial, goes_wrong, what), executor.slots()[0])
        assert ends(until_over(executor, 3)) == {0: Complete((0.0,)), 1: expected, 2: expected}
        executor.submit(job(3, complete, 2.0, key=None), executor.slots()[0])
        assert isinstance(outcome_of(until_over(executor, 1)), Complete)

    def test_what_is_no_outcome_is_said(self, executor: Executor, job: Any) -> None:
        for trial in range(2):
            executor.submit(job(trial, goes_wrong, "string"), executor.slots()[0])
        expected = Failed("the job's entry returned 'a string': expected an Outcome")
        assert ends(until_over(executor, 2)) == {0: Complete((0.0,)), 1: expected}

    def test_an_entry_that_cannot_be_called(self, executor: Executor, job: Any) -> None:
        for trial in range(2):
            executor.submit(job(trial, "seqsweep.nowhere:run"), executor.slots()[0])
        for outcome in ends(until_over(executor, 2)).values():
            assert "seqsweep.nowhere" in outcome.text  # type: ignore[union-attr]

    def test_one_is_interrupted_and_the_other_goes_on(self, executor: Executor, job: Any) -> None:
        for trial in range(2):
            executor.submit(job(trial, until_interrupted), executor.slots()[0])
        executor.interrupt(1)
        last = until_over(executor, 1)[-1]
        assert (last.trial, outcome_of([last])) == (1, Interrupted())
        assert executor.poll(0.0) == []
        executor.interrupt(0)
        assert outcome_of(until_over(executor, 1)) == Interrupted()

    def test_an_interrupt_wakes_the_member_that_waits_for_an_answer(
        self, executor: Executor, job: Any
    ) -> None:
        for trial in range(2):
            executor.submit(job(trial, steps, 3), executor.slots()[0])
        until(executor, lambda event: isinstance(event, Report))
        executor.interrupt(1)
        executor.interrupt(0)
        assert ends(until_over(executor, 2)) == {0: Interrupted(), 1: Interrupted()}

    def test_a_dead_process_loses_those_that_were_left(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        for trial in range(3):
            executor.submit(job(trial, goes_wrong, "kill"), executor.slots()[0])
        events = as_usual(until_over(executor, 3))
        assert outcome_of(events[0]) == Complete((0.0,))
        for trial in (1, 2):
            lost = events[trial][-1]
            assert isinstance(lost, SlotLost)
            assert "SIGKILL" in lost.reason
        executor.submit(job(1, steps, 0, attempt=2), executor.slots()[0])
        assert isinstance(outcome_of(until_over(executor, 1)), Complete)

    def test_cancelling_one_loses_all(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        for trial in range(3):
            executor.submit(job(trial, goes_wrong, "hang"), executor.slots()[0])
        until(executor, lambda event: isinstance(event, Ended))
        executor.cancel(2)
        lost = until_over(executor, 2)
        assert {(event.trial, event.reason) for event in lost} == {(1, "cancelled"), (2, "cancelled")}  # type: ignore[union-attr]

    def test_what_they_print_is_kept_once_and_found_from_each(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        for trial in range(3):
            executor.submit(job(trial, prints, f"member {trial}"), executor.slots()[0])
        until_over(executor, 3)
        first, *others = (Path(job(trial, prints).directory, "output.log") for trial in range(3))
        assert first.read_text() == "member 0\nmember 1\nmember 2\n"
        for other in others:
            assert other.read_text() == f"run as one with trial 0: all they print is in {first}\n"

    def test_close_ends_what_has_begun_and_what_has_not(self, job: Any) -> None:
        with self.make(2, 3) as executor:
            executor.submit(job(0, until_interrupted), executor.slots()[0])
            until(executor, lambda event: isinstance(event, Started))
            executor.submit(job(1, until_interrupted), executor.slots()[1])
            executor.close()
            assert executor.poll() == []

    def needs_isolation(self) -> None:
        if not self.isolates:
            pytest.skip("jobs share this process")
