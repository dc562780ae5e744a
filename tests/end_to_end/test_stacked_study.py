"""A study of stacks from the command line, undisturbed and disturbed.

The stack is a stand-in that trains its members one after the other, so that what each of
them leaves is known to be right: what is tried here is all that goes on around a stack.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from end_to_end.driving import STUDY, Driver, all_gone, check_study, run
from end_to_end.test_study import table

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

PROGRAM = "end_to_end.one_after_the_other"
SMALL = ("sweep", "small", "--config-dir", "studies", "hydra.launcher.stack=3")
CHOICES = ("choice(rnn, lstm, gru)", "choice(16, 32)")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQSWEEP_HOME")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    here = tmp_path / "work"
    (here / "studies").mkdir(parents=True)
    study = STUDY.replace(CHOICES[0], "choice(lstm, gru)").replace(CHOICES[1], "choice(16)")
    (here / "studies" / "small.yaml").write_text(study)
    return here


def stacked(folder: Path) -> Driver:
    return Driver.start(folder, *SMALL, program=PROGRAM)


def members(folder: Path) -> list[list[int]]:
    """The trials of each stack, by what it printed."""
    logs = [file.read_text() for file in (folder / "multirun" / "small").glob("*/output.log")]
    return [
        [int(trial) for trial in line.split()] for log in logs for line in re.findall("members (.*)", log)
    ]


def test_a_stacked_study_is_the_same_study(folder: Path) -> None:
    driver = stacked(folder)
    said = driver.finish()
    assert driver.process.returncode == 0, said
    check_study(folder, "small", n_trials=8, epochs=6)
    assert len(re.findall("runs alone: model=lstm is as fast by itself", said)) == 1
    together = members(folder)
    grus = {trial for trial, params, _ in table(folder) if ("model", "gru") in params}  # type: ignore[operator]
    assert {trial for stack in together for trial in stack} <= grus
    assert max(map(len, together)) > 1
    for stack in together:
        for other in stack[1:]:
            log = folder / "multirun" / "small" / str(other) / "output.log"
            assert f"run as one with trial {stack[0]}" in log.read_text()

    before = table(folder)
    plain = folder.parent / "plain"
    (plain / "studies").mkdir(parents=True)
    (plain / "studies" / "small.yaml").write_text((folder / "studies" / "small.yaml").read_text())
    assert run(plain, *SMALL[:-1]).returncode == 0
    assert table(plain) == before


def test_a_killed_worker_sets_its_members_apart(folder: Path) -> None:
    driver = stacked(folder)
    while not (stack := next((stack for stack in members(folder) if len(stack) > 1), None)):
        assert driver.process.poll() is None
    log = folder / "multirun" / "small" / str(stack[0]) / "output.log"
    victims = [
        worker for worker in driver.workers() if any(file.path == str(log) for file in worker.open_files())
    ]
    victims[0].kill()
    said = driver.finish()
    assert driver.process.returncode == 0, said
    assert "the worker was killed by SIGKILL; trying again by itself" in said
    check_study(folder, "small", n_trials=8, epochs=6)
    again = [int(trial) for trial in re.findall(r"trial (\d+): the worker was killed", said)]
    assert set(again) <= set(stack) and len(again) > 1
    assert all(sum(trial in stack for stack in members(folder)) == 1 for trial in again)  # then alone


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_disturbed_study_goes_on_with_stacks_or_without(folder: Path, how: signal.Signals) -> None:
    driver = stacked(folder)
    driver.until(" complete ", times=2)
    family = driver.family()
    driver.process.send_signal(how)
    driver.finish()
    assert all_gone(family)
    if how == signal.SIGINT:
        assert driver.process.returncode == 130
        driver = stacked(folder)
        said = driver.finish()
        assert driver.process.returncode == 0, said
    else:
        assert run(folder, *SMALL[:-1]).returncode == 0
    check_study(folder, "small", n_trials=8, epochs=6)
