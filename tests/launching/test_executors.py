from __future__ import annotations

import sys
from contextlib import AbstractContextManager

import pytest

from contracts.executor_contract import ExecutorContract, hangs, outcome_of, until_over
from seqsweep.launching import LocalExecutor, ThreadExecutor, make_slots
from seqsweep.protocol import Executor, Failed, Job


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
