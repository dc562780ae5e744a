"""A study from the command line, undisturbed and disturbed: killed drivers, killed workers, Ctrl-C."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path

import optuna
import pytest

from end_to_end.driving import STUDY, Driver, all_gone, check_study, run, stored_runs

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SMALL = ("sweep", "small")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as a user has one: the stores are kept in it."""
    monkeypatch.delenv("SEQSWEEP_HOME")
    here = tmp_path / "work"
    (here / "sweeps").mkdir(parents=True)
    (here / "sweeps" / "small.yaml").write_text(STUDY)
    return here


def table(folder: Path, name: str = "small") -> list[tuple[object, ...]]:
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
    return [(trial.number, tuple(sorted(trial.params.items())), trial.value) for trial in study.get_trials()]


def test_the_demo(folder: Path) -> None:
    done = run(folder, "sweep", "digits")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    check_study(folder, "digits", n_trials=24, epochs=15)
    study = optuna.load_study(study_name="digits", storage=f"sqlite:///{folder / 'optuna.db'}")
    assert study.best_value >= 0.97
    # the leaderboard has a line a trial, the best one first
    lines = [line for line in done.stdout.splitlines() if re.match(r" *\d+ +complete", line)]
    assert len(lines) == 24
    assert lines[0].split()[0] == str(study.best_trial.number)
    # only the best trial met the test data
    tested = [run for run in stored_runs(folder)[1] if "test/accuracy" in run.data.metrics]
    assert [run.data.tags["seqsweep.trial"] for run in tested] == [str(study.best_trial.number)]

    # the printed command trains it again
    (pasted,) = [line for line in done.stdout.splitlines() if line.startswith("  seqsweep train ")]
    again = run(folder, *shlex.split(pasted)[1:])
    assert again.returncode == 0, again.stderr
    assert f"{study.best_value:.4f}" in again.stdout

    # and the same sweep again changes nothing
    before = table(folder, "digits")
    rerun = run(folder, "sweep", "digits")
    assert rerun.returncode == 0
    assert table(folder, "digits") == before
    assert len(stored_runs(folder)[1]) == 24


def test_trials_of_an_earlier_study_are_not_taken_for_those_of_a_new_one(folder: Path) -> None:
    assert run(folder, *SMALL).returncode == 0
    shutil.rmtree(folder / "multirun" / "small" / ".seqsweep" / "conf")  # its own all the same
    more = run(folder, *SMALL, "hydra.sweeper.n_trials=9")
    assert "earlier study" not in more.stdout
    check_values(folder)

    (folder / "optuna.db").unlink()
    study = (STUDY + "    enqueue: [{model: gru, model.hidden_size: 16, optimizer.lr: 0.003}]\n").replace(
        "seed: 1", "seed: 2"
    )
    (folder / "sweeps" / "small.yaml").write_text(study)
    changed = run(folder, *SMALL)
    assert changed.returncode == 0, changed.stderr
    assert "what an earlier study of that name has left in" in changed.stdout
    assert len(list((folder / "multirun" / "small" / ".seqsweep" / "earlier-1").iterdir())) == 9 + 2
    check_values(folder)


def check_values(folder: Path) -> None:
    """The Runs of the study that is stored say what it says."""
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{folder / 'optuna.db'}")
    uid = study.user_attrs["seqsweep.uid"]
    (parent,), trials = [
        [each for each in runs if each.data.tags["seqsweep.study_uid"] == uid] for runs in stored_runs(folder)
    ]
    best = {int(each.data.tags["seqsweep.trial"]): each.data.metrics["best/val/accuracy"] for each in trials}
    assert best == {trial.number: trial.value for trial in study.get_trials()}
    assert parent.data.metrics["best/val/accuracy"] == study.best_value


def test_a_killed_driver_is_taken_up_where_it_was(folder: Path) -> None:
    driver = Driver.start(folder, *SMALL)
    driver.until(" complete ", times=3)
    family = driver.family()
    driver.process.kill()
    driver.finish()
    assert all_gone(family)

    assert run(folder, *SMALL).returncode == 0
    check_study(folder, "small", n_trials=8, epochs=6)


def test_a_disturbed_random_study_gives_the_undisturbed_table(folder: Path, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet"
    (quiet / "sweeps").mkdir(parents=True)
    (quiet / "sweeps" / "small.yaml").write_text(STUDY)
    assert run(quiet, *SMALL).returncode == 0

    for finished in (1, 2):
        driver = Driver.start(folder, *SMALL)
        driver.until(" complete ", times=finished)
        driver.process.kill()
        driver.finish()
    assert run(folder, *SMALL).returncode == 0
    assert table(folder) == table(quiet)


def test_a_killed_worker_is_replaced_and_its_run_goes_on(folder: Path) -> None:
    driver = Driver.start(folder, *SMALL)
    driver.until(" complete ", times=2)
    while not (workers := driver.workers()):
        assert driver.process.poll() is None
    workers[0].kill()
    rest = driver.finish()
    assert driver.process.returncode == 0, rest
    assert "the worker was killed by SIGKILL; trying again" in rest
    check_study(folder, "small", n_trials=8, epochs=6)


def test_ctrl_c_stops_and_the_same_command_goes_on(folder: Path) -> None:
    driver = Driver.start(folder, *SMALL)
    driver.until(" complete ", times=2)
    family = driver.family()
    driver.process.send_signal(signal.SIGINT)
    rest = driver.finish()
    assert driver.process.returncode == 130, rest
    assert "the same command goes on with study 'small'" in rest
    assert all_gone(family)
    assert run(folder, *SMALL).returncode == 0
    check_study(folder, "small", n_trials=8, epochs=6)


def test_a_second_driver_is_refused_with_the_first_ones_pid(folder: Path) -> None:
    driver = Driver.start(folder, *SMALL)
    driver.until(" complete ")
    second = run(folder, *SMALL)
    assert second.returncode == 2
    assert f"study 'small' is being run by process {driver.process.pid}" in second.stderr
    driver.finish()
    assert driver.process.returncode == 0
    check_study(folder, "small", n_trials=8, epochs=6)


def test_a_grid_runs_in_parallel_on_our_launcher(folder: Path) -> None:
    done = run(folder, "train", "-m", "model=rnn,lstm,gru", "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    parents, children = stored_runs(folder)
    assert children == []
    assert sorted(run.data.params["model._target_"] for run in parents) == [
        "seqsweep.models.GRU", "seqsweep.models.LSTM", "seqsweep.models.RNN",
    ]  # fmt: skip
    assert all(run.info.status == "FINISHED" for run in parents)
