"""Other people's Hydra applications under our sweeper and launcher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from end_to_end.driving import stored_runs

pytestmark = pytest.mark.timeout(300)

# No guard around the call, closures and a global of its own: workers must not run the script again.
APP = """
import hydra
import seqsweep
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

ConfigStore.instance().store(name="config", node={"x": 0.0, "kind": "a", "fail": False})
PENALTY = {"a": 0.0, "b": 1.0}

def loss(x, kind, step):
    return (x - 1) ** 2 + PENALTY[kind] + 1 / (step + 1)

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(config):
    if config.fail:
        raise ValueError("told to fail")
    print("job in", HydraConfig.get().runtime.output_dir)
    for step in range(8):
        value = loss(config.x, config.kind, step)
        seqsweep.report(value, step)
    return value

app()
"""
OURS = ("hydra/sweeper=seqsweep", "hydra/launcher=seqsweep", "hydra.launcher.workers=2")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SEQSWEEP_HOME")
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *overrides], cwd=folder, capture_output=True, text=True, check=False
    )


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="app", storage=f"sqlite:///{folder / 'optuna.db'}").get_trials()


def test_a_plain_script_sweeps_prunes_and_goes_on(app: Path) -> None:
    sweep = (
        "-m", *OURS, "x=interval(-2.0,2.0)", "kind=choice(a,b)",
        "hydra.sweeper.pruner._target_=optuna.pruners.MedianPruner",
        "+hydra.sweeper.pruner.n_startup_trials=2",
    )  # fmt: skip
    first = run(app, *sweep, "hydra.sweeper.n_trials=5")
    assert first.returncode == 0, first.stderr
    second = run(app, *sweep, "hydra.sweeper.n_trials=8")
    assert second.returncode == 0, second.stderr
    stored = trials(app)
    assert [trial.number for trial in stored] == list(range(8))
    states = {trial.state.name.lower() for trial in stored}
    assert states == {"complete", "pruned"}
    assert f"job in {app}/multirun/app/3\n" in (app / "multirun" / "app" / "3" / "output.log").read_text()
    assert (app / "multirun" / "app" / "3" / ".hydra" / "config.yaml").is_file()
    assert {path.name for path in (app / "multirun").iterdir()} == {"app"}
    # MLflow has a run a trial, with its parameters and what it reported
    (parent,), children = stored_runs(app, "app")
    assert parent.info.status == "FINISHED"
    for child in children:
        trial = stored[int(child.data.tags["seqsweep.trial"])]
        assert child.data.params["x"] == str(trial.params["x"])
        assert child.data.metrics["objective"] == trial.intermediate_values[trial.last_step]
        assert child.info.status == {"complete": "FINISHED", "pruned": "KILLED"}[trial.state.name.lower()]


def test_failures_do_not_end_the_study(app: Path) -> None:
    done = run(app, "-m", *OURS, "fail=choice(true,false)", "x=interval(0.0,1.0)", "hydra.sweeper.n_trials=6")
    assert done.returncode == 0, done.stderr
    failed = [trial for trial in trials(app) if trial.params["fail"]]
    assert failed
    assert {trial.user_attrs["seqsweep.error"] for trial in failed} == {"ValueError: told to fail"}


def test_a_key_the_configuration_does_not_have_is_a_users_mistake(app: Path) -> None:
    done = run(app, "-m", *OURS, "y=interval(0.0,1.0)")
    assert done.returncode != 0
    assert "y" in done.stderr
    assert not (app / "optuna.db").exists()
    assert not (app / "multirun").exists()


def test_outside_a_study_reports_do_nothing(app: Path) -> None:
    done = run(app, "x=1.0")
    assert done.returncode == 0, done.stderr


def test_a_grid_of_hydras_own_sweeper(app: Path) -> None:
    done = run(app, "-m", "hydra/launcher=seqsweep", "x=1,2,3")
    assert done.returncode == 0, done.stderr
    for number, value in enumerate(("0.125", "1.125", "4.125")):
        assert f"#{number} x={number + 1} : completed: {value}" in done.stdout


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.real)])
def test_another_launcher_runs_batches_and_says_so(app: Path, launcher: str) -> None:
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = (
        "-m", "hydra/sweeper=seqsweep", f"hydra/launcher={launcher}", "hydra.sweeper.batch_size=2",
        "x=interval(-2.0,2.0)", "fail=choice(true,false)",
        "hydra.sweeper.enqueue=[{x: 0.5, fail: false}, {x: 0.5, fail: true}]",
    )  # fmt: skip
    first = run(app, *sweep, "hydra.sweeper.n_trials=3")
    assert first.returncode == 0, first.stderr
    said = f"hydra/launcher={launcher}: batches of 2, each as long as its slowest trial"
    assert first.stdout.count(said) == 1
    second = run(app, *sweep, "hydra.sweeper.n_trials=6")
    assert second.returncode == 0, second.stderr
    stored = trials(app)
    assert [trial.number for trial in stored] == list(range(6))
    for trial in stored:
        assert trial.state.name == ("FAIL" if trial.params["fail"] else "COMPLETE")
        assert trial.user_attrs.get("seqsweep.error") == (
            "ValueError: told to fail" if trial.params["fail"] else None
        )
        assert len(trial.intermediate_values) == (0 if trial.params["fail"] else 8)
        overrides = (app / "multirun" / "app" / str(trial.number) / ".hydra" / "overrides.yaml").read_text()
        assert f"x={trial.params['x']}" in overrides
    assert {path.name for path in (app / "multirun").iterdir()} == {"app"}
    _, children = stored_runs(app, "app")
    assert len(children) == 6


SEVERAL = """
import hydra
from hydra.core.config_store import ConfigStore

ConfigStore.instance().store(name="config", node={"x": 0.0, "how": "mapping"})

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(config):
    both = {"size": 2 * config.x, "loss": config.x}
    return both if config.how == "mapping" else list(both.values())

app()
"""


@pytest.mark.real
def test_a_function_may_return_a_mapping_or_a_sequence(app: Path) -> None:
    (app / "app.py").write_text(SEVERAL)
    done = run(
        app, "-m", *OURS, "x=choice(1.0,2.0)", "how=choice(mapping,sequence)", "hydra.sweeper.n_trials=4",
        "hydra.sweeper.metric=[size,loss]", "hydra.sweeper.direction=[minimize,maximize]",
        "hydra.sweeper.sampler={_target_: optuna.samplers.GridSampler}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted((trial.params["how"], *trial.values) for trial in trials(app)) == [
        (how, 2 * x, x) for how in ("mapping", "sequence") for x in (1.0, 2.0)
    ]
