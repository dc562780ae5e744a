"""The worker process spoken to directly, over its pipe."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from contracts import executor_contract as jobs
from contracts.executor_contract import PATIENCE
from launching import leaking
from seqsweep.launching import worker
from seqsweep.protocol import Complete, Interrupted, Job, Outcome, Slot, Started


@dataclass
class Spoken:
    process: BaseProcess
    pipe: Connection
    folder: Path

    def send(self, entry: Callable[..., Outcome], payload: Any = None) -> None:
        job = Job(0, entry, payload, str(self.folder))
        self.pipe.send(worker.Work((job,), Slot(0), dict(os.environ)))

    def hear(self, kind: type[Any]) -> Any:
        assert self.pipe.poll(PATIENCE)
        message = self.pipe.recv()
        assert isinstance(message, kind), message
        return message


@pytest.fixture
def spoken(tmp_path: Path) -> Iterator[Spoken]:
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=worker.run, args=(theirs, 3, ()))
    process.start()
    theirs.close()
    yield Spoken(process, ours, tmp_path)
    ours.close()
    process.kill()
    process.join()


def test_a_process_without_a_job_ends_with_the_driver(spoken: Spoken) -> None:
    spoken.send(jobs.complete, 1.0)
    spoken.hear(Started)
    assert spoken.hear(worker.Done).again
    spoken.pipe.close()
    spoken.process.join(PATIENCE)
    assert spoken.process.exitcode == 0


def test_a_process_with_a_job_ends_with_the_driver(spoken: Spoken) -> None:
    spoken.send(jobs.until_interrupted)
    spoken.hear(Started)
    spoken.pipe.close()
    spoken.process.join(worker.GRACE)
    assert spoken.process.exitcode == 1


def test_a_word_between_two_jobs_is_for_neither(spoken: Spoken) -> None:
    spoken.send(jobs.complete, 1.0)
    spoken.hear(Started)
    assert spoken.hear(worker.Done).again
    spoken.pipe.send(worker.Interrupt(0))
    spoken.pipe.send(worker.Answer(0, go=False))
    spoken.send(leaking.says_whether_interrupted, 0.0)
    spoken.hear(Started)
    assert spoken.hear(worker.Done).ended.outcome == Complete(detail=False)


@pytest.mark.real
def test_a_word_that_came_too_late_does_not_end_the_process(spoken: Spoken) -> None:
    spoken.send(jobs.complete, 1.0)
    spoken.hear(Started)
    spoken.hear(worker.Done)
    spoken.pipe.send(worker.Interrupt(0))
    spoken.send(leaking.says_whether_interrupted, worker.GRACE + 1)
    spoken.hear(Started)
    assert spoken.hear(worker.Done).ended.outcome == Complete(detail=False)


def test_a_process_that_was_interrupted_takes_no_other_job(spoken: Spoken) -> None:
    spoken.send(jobs.until_interrupted)
    spoken.hear(Started)
    spoken.pipe.send(worker.Interrupt(0))
    done = spoken.hear(worker.Done)
    assert done.ended.outcome == Interrupted()
    assert not done.again
    spoken.process.join(PATIENCE)
    assert spoken.process.exitcode == 0


class Unreadable:
    """Pickles, but is not to be had from the pickle: as a function of a script that a worker does not know."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_a_job_that_cannot_be_read_ends_the_process(spoken: Spoken) -> None:
    spoken.send(jobs.complete, Unreadable())
    spoken.process.join(PATIENCE)
    assert spoken.process.exitcode == 1
