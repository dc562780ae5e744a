from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from seqsweep import paths
from seqsweep.errors import StoreError
from seqsweep.reporting import studies as module
from seqsweep.reporting.studies import StudySummary, studies


def fill(storage: str) -> None:
    first = optuna.create_study(study_name="digits", storage=storage, direction="maximize")
    first.set_user_attr("seqsweep.metric", ["val/accuracy"])
    first.set_user_attr("seqsweep.n_trials", 24)
    for value in (0.5, 0.9, 0.7):
        first.tell(first.ask(), value)
    infeasible = first.ask()
    infeasible.set_user_attr("seqsweep.state", "infeasible")
    first.tell(infeasible, state=TrialState.PRUNED)
    first.tell(first.ask(), state=TrialState.FAIL)
    first.ask()
    second = optuna.create_study(
        study_name="of another program", storage=storage, directions=["minimize", "maximize"]
    )
    second.add_trials([create_trial(values=[value, 1.0]) for value in (3.0, float("inf"), 2.0)])
    optuna.create_study(study_name="empty", storage=storage)


def check(found: list[StudySummary]) -> None:
    digits, other, empty = found
    assert [study.name for study in found] == ["digits", "of another program", "empty"]
    assert dict(digits.counts) == {"complete": 3, "infeasible": 1, "failed": 1, "running": 1}
    assert (digits.done, digits.n_trials, digits.status) == (5, 24, "stopped")
    assert (digits.best, digits.best_trial, digits.metrics) == (0.9, 1, ("val/accuracy",))
    assert digits.last_activity is not None
    assert abs(digits.last_activity - datetime.now(UTC)) < timedelta(minutes=2)
    assert (other.best, other.best_trial, other.directions) == (2.0, 2, ("minimize", "maximize"))
    assert (empty.best, empty.done, empty.last_activity, empty.metrics) == (None, 0, None, ())


def test_summaries_by_query(isolated_home: Path) -> None:
    fill(paths.study_storage())
    check(studies(paths.study_storage()))


def test_summaries_through_optuna_say_the_same(isolated_home: Path) -> None:
    fill(paths.study_storage())
    check(module._from_optuna(paths.study_storage()))


def test_a_finished_study(isolated_home: Path) -> None:
    study = optuna.create_study(study_name="done", storage=paths.study_storage())
    study.set_user_attr("seqsweep.n_trials", 1)
    study.tell(study.ask(), 1.0)
    assert studies(paths.study_storage())[0].status == "finished"


def test_no_store_yet_is_no_studies_and_makes_none(isolated_home: Path) -> None:
    assert studies(paths.study_storage()) == []
    assert not (isolated_home / "optuna.db").exists()


def test_what_is_no_store_is_told(isolated_home: Path) -> None:
    (isolated_home / "optuna.db").write_text("no database")
    with pytest.raises(StoreError, match=r"optuna\.db: cannot be read as a store of studies"):
        studies(paths.study_storage())


def test_a_driver_is_seen_by_its_lock(isolated_home: Path) -> None:
    optuna.create_study(study_name="digits", storage=paths.study_storage())
    lock = paths.study_folder("digits") / paths.STATE / "driver.lock"
    lock.parent.mkdir(parents=True)
    program = (
        "import fcntl, os, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "file.write(str(os.getpid())); file.flush(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        (held,) = studies(paths.study_storage())
        driver.communicate()
    assert (held.driver, held.status) == (driver.pid, "running")
    (let_go,) = studies(paths.study_storage())
    assert (let_go.driver, let_go.status) == (None, "stopped")
    lock.write_text(str(os.getpid()))  # alive, but it holds nothing
    assert studies(paths.study_storage())[0].driver is None


def test_hundreds_of_trials_take_no_time(isolated_home: Path) -> None:
    study = optuna.create_study(study_name="large", storage=paths.study_storage())
    study.add_trials([create_trial(value=float(number)) for number in range(300)])
    began = time.perf_counter()
    assert studies(paths.study_storage())[0].done == 300
    assert time.perf_counter() - began < 0.5
