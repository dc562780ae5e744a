"""The trials of a real study trained again: complete, pruned, and one whose driver was killed on its way."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from end_to_end.driving import Driver, all_gone, run, stored_runs

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

STUDY = """\
defaults:
  - train
  - override data: digits
  - override hydra/sweeper: seqsweep
  - override hydra/launcher: seqsweep
  - _self_
trainer: {max_epochs: 6}
model: {dropout: 0.2}
hydra:
  launcher: {workers: 2}
  sweeper:
    metric: val/loss
    direction: minimize
    n_trials: 6
    sampler: {_target_: optuna.samplers.RandomSampler, seed: 1}
    pruner: {_target_: optuna.pruners.MedianPruner, n_startup_trials: 2, n_warmup_steps: 0}
    params:
      model: choice(rnn, lstm, gru)
      model.hidden_size: choice(8, 16)
      optimizer.lr: tag(log, interval(1e-4, 1e-1))
"""
SWEEP = ("sweep", "small", "--config-dir", "studies")


SLOW = "optimizer.lr=tag(log, interval(1e-4, 1e-3))"
"""At higher rates six epochs make a difference of 1e-7 as large as one likes."""
STACKED = ("hydra.launcher.stack=2", "model=gru", "model.hidden_size=8", "hydra.sweeper.n_trials=4", SLOW)


def test_trials_of_a_stack_are_the_same_but_for_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEQSWEEP_HOME")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "small.yaml").write_text(STUDY)
    done = run(tmp_path, *SWEEP, *STACKED, "tracking.test_each=true")
    assert done.returncode == 0, done.stderr
    ((parent,), _) = stored_runs(tmp_path)
    (best,) = [line for line in done.stdout.splitlines() if line.startswith("best: ")]
    assert f"test/accuracy {parent.data.metrics['test/accuracy']:.4f}" in best
    for trial in (0, 1):
        done = run(tmp_path, "reproduce", f"small/{trial}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "differs stack: as one of 2 -> alone" in done.stdout
        assert done.stdout.splitlines()[-1].startswith("the same")


def test_every_trial_of_a_disturbed_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQSWEEP_HOME")
    folder = tmp_path / "work"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "small.yaml").write_text(STUDY)
    driver = Driver.start(folder, *SWEEP)
    driver.until(" complete ")  # another trial is on its way
    family = driver.family()
    driver.process.kill()
    driver.finish()
    assert all_gone(family)
    assert run(folder, *SWEEP).returncode == 0

    study = optuna.load_study(study_name="small", storage=f"sqlite:///{folder / 'optuna.db'}")
    trials = study.get_trials()
    assert any(trial.user_attrs.get("seqsweep.attempt", 1) > 1 for trial in trials)
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    before = len(stored_runs(folder)[1])
    for trial in trials:
        done = run(folder, "reproduce", f"small/{trial.number}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "bit for bit" in done.stdout
        assert "differs" not in done.stdout
    assert len(stored_runs(folder)[1]) == before

    tested = run(folder, "evaluate", "small/best")
    assert tested.stdout.splitlines()[-1] == "recorded: the same"
    assert run(folder, "rm", "small", "--yes").returncode == 0
    assert run(folder, "reproduce", "small/0").returncode == 2
    assert list((folder / "multirun").iterdir()) == []
