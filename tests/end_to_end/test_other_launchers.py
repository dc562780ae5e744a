"""Studies of our own tasks on other people's launchers."""

from __future__ import annotations

import signal
from pathlib import Path

import optuna
import pytest

from end_to_end.driving import STUDY, Driver, check_study, run

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SMALL = ("sweep", "small", "--config-dir", "studies")
N, EPOCHS = 4, 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQSWEEP_HOME")
    here = tmp_path / "work"
    (here / "studies").mkdir(parents=True)
    return here


def write_study(folder: Path, launcher: str, **keys: object) -> None:
    text = STUDY.replace("launcher: seqsweep", f"launcher: {launcher}")
    text = text.replace("  launcher: {workers: 2}\n", "").replace("n_trials: 8", f"n_trials: {N}")
    text = text.replace("max_epochs: 6", f"max_epochs: {EPOCHS}")
    extra = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    (folder / "studies" / "small.yaml").write_text(text.replace("  sweeper:\n", f"  sweeper:\n{extra}"))


def values(folder: Path) -> list[tuple[object, ...]]:
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{folder / 'optuna.db'}")
    return [(tuple(sorted(trial.params.items())), trial.value) for trial in study.get_trials()]


def test_hydras_basic_launcher(folder: Path) -> None:
    write_study(folder, "basic")
    done = run(folder, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("hydra/launcher=basic: one trial at a time") == 1
    check_study(folder, "small", N, EPOCHS)
    assert "test accuracy" in done.stdout or "test/accuracy" in done.stdout
    assert (folder / "multirun" / "small" / "0" / ".hydra" / "overrides.yaml").is_file()


def test_joblibs_gives_the_table_of_ours(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    write_study(folder, "joblib", batch_size=2)
    done = run(folder, *SMALL, "hydra.launcher.n_jobs=2")
    assert done.returncode == 0, done.stderr
    assert "hydra/launcher=joblib: batches of 2" in done.stdout
    check_study(folder, "small", N, EPOCHS)

    ours = tmp_path / "ours"
    (ours / "studies").mkdir(parents=True)
    write_study(ours, "seqsweep")
    assert run(ours, *SMALL, "hydra.launcher.workers=2", "threads=1").returncode == 0
    assert values(folder) == values(ours)


def test_ctrl_c_in_a_batch_and_the_same_command_goes_on(folder: Path) -> None:
    write_study(folder, "basic", batch_size=2)
    driver = Driver.start(folder, *SMALL, "trainer.max_epochs=40")
    driver.until(" complete ", times=2)
    driver.process.send_signal(signal.SIGINT)
    rest = driver.finish()
    assert driver.process.returncode == 130, rest
    assert "the same command goes on with study 'small'" in rest
    done = run(folder, *SMALL, "trainer.max_epochs=40")
    assert done.returncode == 0, done.stderr
    check_study(folder, "small", N, 40)


def test_a_killed_driver_is_taken_up_by_another_launcher(folder: Path) -> None:
    write_study(folder, "basic")
    driver = Driver.start(folder, *SMALL)
    driver.until(" complete ", times=2)
    driver.process.kill()
    driver.finish()
    done = run(folder, *SMALL, "hydra/launcher=seqsweep", "hydra.launcher.workers=2")
    assert done.returncode == 0, done.stderr
    check_study(folder, "small", N, EPOCHS)
