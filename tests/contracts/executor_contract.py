"""The law of every executor. Inherit `ExecutorContract` and say how to make one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqsweep.errors import ConfigError, TrialPruned
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
    Started,
)

PATIENCE = 60.0


def complete(payload: Any, context: JobContext) -> Outcome:
    return Complete((payload,), detail={"directory": str(context.directory), "slot": context.slot.id})


def reports(payload: int, context: JobContext) -> Outcome:
    for step in range(payload):
        if not context.report(step / 10, step):
            return Pruned(step / 10)
    return Complete((1.0,))


def settles(payload: str, context: JobContext) -> Outcome:
    assert context.report(0.5, 1)
    Path(payload).touch()
    return Complete((1.0,)) if context.settle() and context.settle() else Interrupted()


def raises(payload: str, context: JobContext) -> Outcome:
    if payload == "value":
        raise ValueError("no good")
    if payload == "usage":
        raise ConfigError("model.hidden_size=0: expected more")
    if payload == "memory":
        raise MemoryError
    if payload == "exit":
        raise SystemExit(3)
    if payload == "pruned":
        raise TrialPruned
    return "a string"  # type: ignore[return-value]


def until_interrupted(payload: Any, context: JobContext) -> Outcome:
    if payload:
        Path(payload).touch()
    while not context.interrupted:
        time.sleep(0.01)
    return Interrupted()


def hangs(payload: Any, context: JobContext) -> Outcome:
    threading.Event().wait()
    raise AssertionError


def dies(payload: str, context: JobContext) -> Outcome:
    if payload == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if payload == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(7)


def leaves_a_thread(payload: Any, context: JobContext) -> Outcome:
    threading.Thread(target=threading.Event().wait).start()
    return Complete((0.0,))


def leaves_a_process(payload: str, context: JobContext) -> Outcome:
    with Path(payload).open("w") as held:
        subprocess.Popen(["sleep", "1000"], stdout=held)
    return Complete((0.0,))


def touches(payload: str, context: JobContext) -> Outcome:
    Path(payload).touch()
    return Complete((0.0,))


def prints(payload: str, context: JobContext) -> Outcome:
    print(payload, flush=True)
    subprocess.run(["echo", f"{payload}, the child"], check=True)
    return Complete((0.0,))


class ExecutorContract(ABC):
    """What holds for whatever runs jobs."""

    isolates = True
    """Whether a job has a process of its own, that can die and be killed."""

    @abstractmethod
    def make(self, slots: int) -> AbstractContextManager[Executor]:
        """An executor with so many slots of one seat."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        with self.make(2) as executor:
            yield executor

    @pytest.fixture
    def job(self, tmp_path: Path) -> Callable[..., Job]:
        def build(trial: int, entry: Callable[..., Outcome], payload: Any = None, attempt: int = 1) -> Job:
            directory = tmp_path / str(trial)
            directory.mkdir(exist_ok=True)
            return Job(trial, entry, payload, str(directory), attempt)

        return build

    def test_a_job_runs_in_its_directory_on_its_slot(self, executor: Executor, job: Any) -> None:
        slot = executor.slots()[1]
        executor.submit(job(4, complete, 0.5, attempt=3), slot)
        started, ended = until_over(executor, 1)
        assert isinstance(started, Started)
        assert (started.trial, started.attempt) == (4, 3)
        assert isinstance(ended, Ended)
        assert (ended.trial, ended.attempt) == (4, 3)
        assert ended.outcome == Complete((0.5,), {"directory": job(4, complete).directory, "slot": slot.id})
        assert ended.seconds >= 0

    def test_an_entry_may_be_named(self, executor: Executor, job: Any) -> None:
        named = Job(0, "operator:call", None, job(0, complete).directory)
        executor.submit(named, executor.slots()[0])
        assert "TypeError" in outcome_of(until_over(executor, 1)).text  # type: ignore[union-attr]

    def test_a_seat_is_free_as_soon_as_its_job_has_ended(self, executor: Executor, job: Any) -> None:
        for trial in range(6):
            executor.submit(job(trial, complete, float(trial)), executor.slots()[0])
            assert outcome_of(until_over(executor, 1)).values == (float(trial),)  # type: ignore[union-attr]

    def test_a_busy_slot_refuses(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, until_interrupted), executor.slots()[0])
        with pytest.raises(ValueError, match="no free seat"):
            executor.submit(job(1, complete, 1.0), executor.slots()[0])
        executor.submit(job(2, complete, 1.0), executor.slots()[1])

    def test_reports_wait_for_their_answers_in_order(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, reports, 4), executor.slots()[0])
        events = until_over(executor, 1, answer=lambda report: True)
        seen = [(event.value, event.step) for event in events if isinstance(event, Report)]
        assert seen == [(0.0, 0), (0.1, 1), (0.2, 2), (0.3, 3)]
        assert outcome_of(events) == Complete((1.0,))

    def test_a_job_that_does_not_ask_reports_all_the_same(self, executor: Executor, job: Any) -> None:
        executor.submit(replace(job(0, reports, 4), asks=False), executor.slots()[0])
        events = until_over(executor, 1, answer=lambda report: True)
        assert [event.step for event in events if isinstance(event, Report)] == [0, 1, 2, 3]
        assert outcome_of(events) == Complete((1.0,))

    @pytest.mark.parametrize("stored", [True, False])
    def test_a_job_that_does_not_ask_goes_on_and_settles_later(
        self, executor: Executor, job: Any, tmp_path: Path, stored: bool
    ) -> None:
        further = tmp_path / "further"
        executor.submit(replace(job(0, settles, str(further)), asks=False), executor.slots()[0])
        deadline = time.monotonic() + PATIENCE
        seen: list[Event] = []
        while not (further.exists() and any(isinstance(event, Report) for event in seen)):
            assert time.monotonic() < deadline
            seen += executor.poll(0.01)
        assert not any(isinstance(event, Ended) for event in seen)
        if stored:
            executor.answer(0, True)
        else:
            executor.interrupt(0)
        assert outcome_of(until_over(executor, 1)) == (Complete((1.0,)) if stored else Interrupted())

    def test_stop_prunes(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, reports, 9), executor.slots()[0])
        events = until_over(executor, 1, answer=lambda report: report.step < 2)
        assert outcome_of(events) == Pruned(0.2)

    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            ("value", Failed("ValueError: no good")),
            ("usage", Failed("model.hidden_size=0: expected more", usage=True)),
            ("memory", Infeasible("MemoryError", memory=True)),
            ("exit", Failed("SystemExit: 3")),
            ("pruned", Pruned()),
            ("string", Failed("the job's entry returned 'a string': expected an Outcome")),
        ],
    )
    def test_whatever_comes_of_a_job_is_data(
        self, executor: Executor, job: Any, what: str, expected: Outcome
    ) -> None:
        executor.submit(job(0, raises, what), executor.slots()[0])
        assert outcome_of(until_over(executor, 1)) == expected
        executor.submit(job(1, complete, 2.0), executor.slots()[0])
        assert outcome_of(until_over(executor, 1)) == Complete(
            (2.0,), {"directory": job(1, complete).directory, "slot": 0}
        )

    def test_an_interrupted_job_ends_by_itself(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, until_interrupted), executor.slots()[0])
        executor.interrupt(0)
        assert outcome_of(until_over(executor, 1)) == Interrupted()

    def test_an_interrupt_wakes_a_job_that_waits_for_an_answer(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, reports, 9), executor.slots()[0])
        until(executor, lambda event: isinstance(event, Report))
        executor.interrupt(0)
        assert outcome_of(until_over(executor, 1)) == Pruned(0.0)

    def test_nothing_to_wait_for_returns_at_once(self, executor: Executor) -> None:
        assert executor.poll() == []

    def test_poll_keeps_to_its_timeout(self, executor: Executor, job: Any) -> None:
        executor.submit(job(0, until_interrupted), executor.slots()[0])
        until(executor, lambda event: isinstance(event, Started))
        assert executor.poll(0.0) == []

    @pytest.mark.parametrize("how", ["kill", "segfault", "exit"])
    def test_a_dead_process_is_a_lost_slot_and_nothing_more(
        self, executor: Executor, job: Any, how: str
    ) -> None:
        self.needs_isolation()
        executor.submit(job(0, dies, how), executor.slots()[0])
        lost = until_over(executor, 1)[-1]
        assert isinstance(lost, SlotLost)
        reason = {"kill": "SIGKILL", "segfault": "SIGSEGV", "exit": "status 7"}[how]
        assert reason in lost.reason
        executor.submit(job(0, complete, 1.0, attempt=2), executor.slots()[0])
        last = until_over(executor, 1)[-1]
        assert isinstance(last, Ended)
        assert last.attempt == 2

    def test_cancel_ends_a_job_that_listens_to_nothing(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        executor.submit(job(0, hangs), executor.slots()[0])
        until(executor, lambda event: isinstance(event, Started))
        executor.cancel(0)
        lost = until_over(executor, 1)[-1]
        assert isinstance(lost, SlotLost)
        assert lost.reason == "cancelled"

    def test_a_thread_left_running_does_not_hold_the_seat(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        executor.submit(job(0, leaves_a_thread), executor.slots()[0])
        assert outcome_of(until_over(executor, 1)) == Complete((0.0,))

    def test_a_process_left_running_ends_with_its_job(
        self, executor: Executor, job: Any, tmp_path: Path
    ) -> None:
        self.needs_isolation()
        held = tmp_path / "held"
        os.mkfifo(held)
        reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
        executor.submit(job(0, leaves_a_process, str(held)), executor.slots()[0])
        assert outcome_of(until_over(executor, 1)) == Complete((0.0,))
        readable, _, _ = select.select([reader], [], [], PATIENCE)
        assert readable
        assert os.read(reader, 1) == b""  # nobody holds the other end
        os.close(reader)

    def test_what_a_job_prints_goes_to_its_directory(self, executor: Executor, job: Any) -> None:
        self.needs_isolation()
        for trial in range(2):
            executor.submit(job(trial, prints, f"job {trial}"), executor.slots()[0])
            until_over(executor, 1)
        for trial in range(2):
            written = Path(job(trial, prints).directory, "output.log").read_text()
            assert written == f"job {trial}\njob {trial}, the child\n"

    def test_a_word_that_comes_too_late_is_not_for_the_next_job(self, executor: Executor, job: Any) -> None:
        over = Path(job(0, complete).directory) / "over"
        executor.submit(job(0, touches, str(over)), executor.slots()[0])
        end = time.monotonic() + PATIENCE
        while not over.exists():
            assert time.monotonic() < end
        executor.interrupt(0)
        executor.answer(0, False)
        until_over(executor, 1)
        executor.submit(job(1, reports, 3), executor.slots()[0])
        assert outcome_of(until_over(executor, 1, answer=lambda report: True)) == Complete((1.0,))

    def test_close_ends_every_process(self, job: Any) -> None:
        self.needs_isolation()
        with self.make(2) as executor:
            for trial, slot in enumerate(executor.slots()):
                executor.submit(job(trial, hangs), slot)
            begun = until(executor, lambda event: isinstance(event, Started), count=2)
            executor.close()
            executor.close()
            for started in begun:
                assert not alive(started.pid)  # type: ignore[union-attr]

    def needs_isolation(self) -> None:
        if not self.isolates:
            pytest.skip("jobs share this process")


def until(executor: Executor, wanted: Callable[[Event], bool], count: int = 1) -> list[Event]:
    """All wanted events once there are so many; reports are answered with go only by `until_over`."""
    found: list[Event] = []
    end = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, found
        found += filter(wanted, executor.poll(PATIENCE))
    return found


def until_over(executor: Executor, count: int, answer: Callable[[Report], bool] | None = None) -> list[Event]:
    """All events until so many attempts are over."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE
    while sum(isinstance(event, Ended | SlotLost) for event in events) < count:
        assert time.monotonic() < end, events
        for event in executor.poll(PATIENCE):
            events.append(event)
            if isinstance(event, Report) and answer is not None:
                executor.answer(event.trial, answer(event))
    return events


def outcome_of(events: list[Event]) -> Outcome:
    last = events[-1]
    assert isinstance(last, Ended), last
    return last.outcome


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
