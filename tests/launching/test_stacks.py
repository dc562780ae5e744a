"""Several jobs of one process: the executors here, and the worker spoken to directly."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from contracts.executor_contract import PATIENCE, hangs, until_over
from contracts.stack_contract import StackContract, goes_wrong, steps, until_interrupted
from launching.test_worker import Spoken, spoken
from seqsweep.launching import LocalExecutor, ThreadExecutor, make_slots, worker
from seqsweep.protocol import Ended, Executor, Failed, Job, Slot, SlotLost, Stacking, Started

__all__ = ["spoken"]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
class TestForkedExecutor(StackContract):
    def make(self, slots: int, seats: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots, seats=seats), start_method="forkserver")


class TestSpawnedExecutor(StackContract):
    def make(self, slots: int, seats: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots, seats=seats), start_method="spawn")


class TestExecutorThatReuses(StackContract):
    def make(self, slots: int, seats: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots, seats=seats), trials_per_worker=4)


class TestThreadExecutor(StackContract):
    isolates = False

    def make(self, slots: int, seats: int) -> AbstractContextManager[Executor]:
        return ThreadExecutor(make_slots((), cores=slots, seats=seats))


def stacked(entry: object, trials: int, folder: Path, payload: object = None) -> list[Job]:
    for trial in range(trials):
        (folder / str(trial)).mkdir()
    stack = Stacking(entry, "a")  # type: ignore[arg-type]
    return [Job(trial, hangs, payload, str(folder / str(trial)), 1, stack) for trial in range(trials)]


@pytest.mark.parametrize("members", [1, 2])
def test_past_their_time_several_are_lost_and_one_has_failed(tmp_path: Path, members: int) -> None:
    with LocalExecutor(make_slots((), cores=1, seats=3), trial_timeout=0.5) as executor:
        for job in stacked(until_interrupted, members, tmp_path):
            executor.submit(job, executor.slots()[0])
        began = time.monotonic()
        over = [event for event in until_over(executor, members) if not isinstance(event, Started)]
        assert time.monotonic() - began >= 0.4 * members  # each has its time
    limit = "hydra.launcher.trial_timeout=0.5 seconds"
    if members == 1:
        assert over == [Ended(0, 1, Failed(f"no end after {limit}"), 0.5)]
    else:
        text = f"2 as one: no end after 2 x {limit}"
        assert over == [SlotLost(trial, 1, 0, text) for trial in range(members)]


@pytest.mark.parametrize(("what", "processes"), [("well", 1), ("value", 2)])
def test_a_stack_counts_as_one_job_of_its_worker(tmp_path: Path, what: str, processes: int) -> None:
    entry, payload = (steps, 0) if what == "well" else (goes_wrong, what)
    jobs = stacked(entry, 4, tmp_path, payload)
    pids = set()
    with LocalExecutor(make_slots((), cores=1, seats=2), trials_per_worker=2) as executor:
        for pair in (jobs[:2], jobs[2:]):
            for job in pair:
                executor.submit(job, executor.slots()[0])
            pids |= {event.pid for event in until_over(executor, 2) if isinstance(event, Started)}
    assert len(pids) == processes


def test_all_members_write_their_checkpoints_once_the_driver_is_gone(spoken: Spoken, tmp_path: Path) -> None:
    jobs = stacked(until_interrupted, 3, tmp_path)
    spoken.pipe.send(worker.Work(tuple(jobs), Slot(0, seats=3), dict(os.environ)))
    for _ in jobs:
        spoken.hear(Started)
    spoken.pipe.close()
    spoken.process.join(PATIENCE)
    assert all((tmp_path / str(trial) / "last").exists() for trial in range(3))


@pytest.mark.real
def test_a_member_that_was_interrupted_leaves_the_others_their_time(spoken: Spoken, tmp_path: Path) -> None:
    jobs = stacked(until_interrupted, 2, tmp_path)
    spoken.pipe.send(worker.Work(tuple(jobs), Slot(0, seats=2), dict(os.environ)))
    for _ in jobs:
        spoken.hear(Started)
    spoken.pipe.send(worker.Interrupt(0))
    assert spoken.hear(Ended).trial == 0
    spoken.pipe.send(worker.Interrupt(0))  # comes too late
    spoken.pipe.send(worker.Answer(7, go=True))  # nobody's
    assert not spoken.pipe.poll(worker.GRACE + 1)  # the process goes on
    spoken.pipe.send(worker.Interrupt(1))
    assert spoken.hear(worker.Done).ended.trial == 1
