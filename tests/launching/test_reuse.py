"""A worker that runs several jobs: what one leaves behind the next does not find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import executor_contract as jobs
from contracts.executor_contract import until, until_over
from launching import leaking
from seqsweep.launching import LocalExecutor, find_devices, make_slots
from seqsweep.protocol import Complete, Ended, Event, Executor, Job, Outcome, Started

Run = Callable[..., tuple[int, Ended]]


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(make_slots((), cores=1), trials_per_worker=1000) as executor:
        yield executor


@pytest.fixture
def run(executor: Executor, tmp_path: Path) -> Run:
    def run(entry: Callable[..., Outcome], payload: Any = None) -> tuple[int, Ended]:
        executor.submit(Job(0, entry, payload, str(tmp_path)), executor.slots()[0])
        return pid_and_end(until_over(executor, 1))

    return run


def pid_and_end(events: list[Event]) -> tuple[int, Ended]:
    first, last = events[0], events[-1]
    assert isinstance(first, Started)
    assert isinstance(last, Ended)
    return first.pid, last


def flags(outcome: Outcome) -> list[bool]:
    assert isinstance(outcome, Complete), outcome
    found = outcome.detail
    return list(found) if isinstance(found, list | tuple) else [found]


@pytest.mark.parametrize(
    "what",
    [
        "python_random",
        "numpy_random",
        "torch_random",
        "torch_threads",
        "environment",
        "directory",
        "logs",
        "open_log",
        "hydra",
        "signals",
        "warnings_filters",
        "interpreter",
        pytest.param("cuda", marks=pytest.mark.skipif(not find_devices(), reason="no GPU here")),
    ],
)
def test_what_one_job_leaks_the_next_does_not_see(run: Run, what: str) -> None:
    first, leaked = run(leaking.leak, what)
    second, seen = run(leaking.look, what)
    assert all(flags(leaked.outcome))
    assert not any(flags(seen.outcome))
    assert first == second


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is a process's, for good")
def test_the_peak_of_memory_is_each_jobs_own(run: Run) -> None:
    large, small = run(leaking.grows, 1 << 28)[1], run(leaking.grows, 1)[1]
    assert large.peak_memory - small.peak_memory > 1 << 27


def test_a_collection_does_not_touch_what_was_imported_before_the_job(run: Run) -> None:
    outcome = run(leaking.counts_frozen)[1].outcome
    assert isinstance(outcome, Complete)
    assert outcome.detail > 1000


@pytest.mark.parametrize(
    ("entry", "payload"),
    [
        (leaking.leaves_a_thread, None),
        (leaking.leaves_a_process, None),
        (leaking.closes_its_output, None),
        (jobs.raises, "memory"),
        (jobs.raises, "value"),
    ],
)
def test_a_process_that_is_not_as_it_was_runs_no_other_job(
    run: Run, entry: Callable[..., Outcome], payload: Any
) -> None:
    assert run(entry, payload)[0] != run(jobs.complete, 1.0)[0]


def test_a_process_whose_job_was_interrupted_runs_no_other(
    executor: Executor, run: Run, tmp_path: Path
) -> None:
    executor.submit(Job(0, jobs.until_interrupted, None, str(tmp_path)), executor.slots()[0])
    [started] = until(executor, lambda event: isinstance(event, Started))
    executor.interrupt(0)
    until_over(executor, 1)
    assert run(jobs.complete, 1.0)[0] != started.pid  # type: ignore[union-attr]


def test_a_process_runs_so_many_jobs_and_no_more(tmp_path: Path) -> None:
    with LocalExecutor(make_slots((), cores=1), trials_per_worker=2) as executor:
        pids = []
        for trial in range(4):
            executor.submit(Job(trial, jobs.complete, 1.0, str(tmp_path)), executor.slots()[0])
            pids.append(pid_and_end(until_over(executor, 1))[0])
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_each_slot_keeps_its_own_process(tmp_path: Path) -> None:
    with LocalExecutor(make_slots((), cores=2), trials_per_worker=9) as executor:
        pids: dict[int, set[int]] = {0: set(), 1: set()}
        for trial in range(6):
            slot = executor.slots()[trial % 2]
            executor.submit(Job(trial, jobs.complete, 1.0, str(tmp_path)), slot)
            pids[slot.id].add(pid_and_end(until_over(executor, 1))[0])
    assert len(pids[0]) == len(pids[1]) == 1
    assert pids[0] != pids[1]
