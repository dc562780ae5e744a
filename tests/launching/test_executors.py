from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import pytest

from contracts.executor_contract import ExecutorContract, complete, hangs, outcome_of, until_over
from seqsweep.launching import LocalExecutor, ThreadExecutor, make_slots
from seqsweep.protocol import Complete, Executor, Failed, Job


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
class TestForkedExecutor(ExecutorContract):
    def make(self, slots: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots), start_method="forkserver")


class TestSpawnedExecutor(ExecutorContract):
    def make(self, slots: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots), start_method="spawn")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
class TestForkedExecutorThatReuses(ExecutorContract):
    def make(self, slots: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots), start_method="forkserver", trials_per_worker=4)


class TestSpawnedExecutorThatReuses(ExecutorContract):
    def make(self, slots: int) -> AbstractContextManager[Executor]:
        return LocalExecutor(make_slots((), cores=slots), start_method="spawn", trials_per_worker=4)


class TestThreadExecutor(ExecutorContract):
    isolates = False

    def make(self, slots: int) -> AbstractContextManager[Executor]:
        return ThreadExecutor(make_slots((), cores=slots))


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_job_past_its_time_is_ended_and_has_failed(tmp_path, jobs: int) -> None:
    with LocalExecutor(make_slots((), cores=1), trial_timeout=0.2, trials_per_worker=jobs) as executor:
        executor.submit(Job(0, hangs, None, str(tmp_path)), executor.slots()[0])
        outcome = outcome_of(until_over(executor, 1))
    assert outcome == Failed("no end after hydra.launcher.trial_timeout=0.2 seconds")


def test_what_a_job_has_said_in_time_counts_however_late_it_is_read(tmp_path) -> None:
    with LocalExecutor(make_slots((), cores=1), trial_timeout=600) as executor:
        executor.submit(Job(0, complete, 1.0, str(tmp_path)), executor.slots()[0])
        executor._begin_all()
        [running] = executor._busy
        running.process.join()
        running.deadline = 0.0
        assert outcome_of(until_over(executor, 1)) == Complete(
            (1.0,), {"directory": str(tmp_path), "slot": 0}
        )
