from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from seqsweep.launching import ThreadExecutor, make_slots
from seqsweep.protocol import Infeasible, Interrupted, Job, JobContext, Outcome, Slot
from seqsweep.sweeping import Budget, Loop
from seqsweep.sweeping import timeline as module
from seqsweep.sweeping.study import Suggestion
from seqsweep.sweeping.timeline import KEY, Timeline
from sweeping.test_loop import DyingExecutor, open_study, run, square


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def parts(storage: str) -> list[dict[str, Any]]:
    attributes = optuna.load_study(study_name="study", storage=storage).user_attrs
    found = sorted(
        (int(key.removeprefix(KEY)), value) for key, value in attributes.items() if key.startswith(KEY)
    )
    return [value for _, value in found]


def test_every_attempt_has_its_slot_its_begin_and_its_end(storage: str, tmp_path: Path) -> None:
    before = time.time()
    run(open_study(storage), square, Budget(6), tmp_path, slots=2)
    (part,) = parts(storage)
    assert before - 1 < part["began"] <= part["seen"] < time.time() + 1
    assert part["slots"] == [[0, ""], [1, ""]]
    trials, attempts, slots, begins, ends, how = zip(*sorted(part["attempts"]), strict=True)
    assert (trials, attempts) == (tuple(range(6)), (1,) * 6)
    assert set(slots) <= {0, 1}
    assert all(begin <= end for begin, end in zip(begins, ends, strict=True))
    assert set(how) == {"complete"}


def test_a_trial_writes_nothing_of_its_own(storage: str, tmp_path: Path) -> None:
    run(open_study(storage), square, Budget(6), tmp_path)
    stored = optuna.load_study(study_name="study", storage=storage)
    assert sum(key.startswith(KEY) for key in stored.user_attrs) == 1
    assert all(trial.user_attrs == {} for trial in stored.trials)


def test_attempts_that_did_not_end_their_trial(storage: str, tmp_path: Path) -> None:
    def shy(values: dict[str, Any], context: JobContext) -> Outcome:
        if context.trial == 3 and context.attempt == 1:
            return Interrupted()
        return Infeasible("out of memory", memory=True) if context.trial == 2 else square(values, context)

    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, shy, suggestion.values, str(tmp_path), suggestion.attempt)

    with DyingExecutor(make_slots((), cores=1), lambda job: (job.trial, job.attempt) == (1, 1)) as executor:
        Loop(open_study(storage), executor, job, Budget(5, retries=1)).run()
    (part,) = parts(storage)
    how = {(trial, attempt): how for trial, attempt, *_, how in part["attempts"]}
    assert how[1, 1] == "lost"
    assert how[1, 2] == "complete"
    assert how[2, 1] == "infeasible"
    assert how[3, 1] == "interrupted"


def test_a_second_driver_has_a_part_of_its_own(storage: str, tmp_path: Path) -> None:
    run(open_study(storage), square, Budget(2), tmp_path)
    run(open_study(storage), square, Budget(3), tmp_path)
    run(open_study(storage), square, Budget(3), tmp_path)  # nothing to do
    first, second = parts(storage)
    assert [len(first["attempts"]), len(second["attempts"])] == [2, 1]
    assert first["began"] < second["began"]


def test_a_killed_driver_leaves_what_ran_when_it_last_wrote(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    timeline = Timeline(open_study(storage).optuna)
    gpu = Slot(id=1, devices=("1",))
    timeline.offered([Slot(id=0, devices=("0",)), gpu])
    timeline.begun(7, 2, gpu)
    timeline.save_if_due()
    (part,) = parts(storage)  # and nothing more comes
    ((trial, attempt, slot, begin, end, how),) = part["attempts"]
    assert (trial, attempt, slot, end, how) == (7, 2, 1, None, "")
    assert part["slots"] == [[0, "0"], [1, "1"]]
    assert begin <= part["seen"]


def test_many_attempts_are_several_attributes(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    timeline = Timeline(open_study(storage).optuna)
    slot, long = Slot(id=0), Slot(id=1)
    timeline.begun(99, 1, long)
    for trial in range(7):
        timeline.begun(trial, 1, slot)
        timeline.ended(trial, "complete")
    timeline.ended(99, "complete")
    timeline.save()
    stored = parts(storage)
    ended = [[each[0] for each in part["attempts"] if each[4] is not None] for part in stored]
    assert ended == [[0, 1, 2], [3, 4, 5], [6, 99]]
    assert len({part["began"] for part in stored}) == 1


def test_nothing_is_written_while_nothing_happens(storage: str, tmp_path: Path) -> None:
    with ThreadExecutor(make_slots((), cores=1)) as executor:
        Loop(open_study(storage), executor, lambda suggestion: None, Budget(0)).run()  # type: ignore[arg-type, return-value]
    assert parts(storage) == []


def test_a_busy_loop_writes_seldom(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = itertools.count()
    study = open_study(storage)
    timeline = Timeline(study.optuna)
    monkeypatch.setattr(study.optuna, "set_user_attr", lambda *_: next(writes))
    for trial in range(100):
        timeline.begun(trial, 1, Slot(id=0))
        timeline.ended(trial, "complete")
        timeline.save_if_due()
    assert next(writes) == 0
