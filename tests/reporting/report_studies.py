"""Studies for the tests of the report: ordinary ones, and ones that want to be more than data."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.WARNING)

SCRIPT = "</script><script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
HOSTILE_NAME = f"böse 漢字 {SCRIPT}{IMAGE} $title"


def store(study: optuna.Study, home: Path) -> optuna.Study:
    """The study in the store there; one made in the store would take a commit for each of its reports."""
    url = f"sqlite:///{home / 'optuna.db'}"
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=url)
    return optuna.load_study(study_name=study.study_name, storage=url)


def bowl(name: str = "bowl", trials: int = 30) -> optuna.Study:
    """Pruned, failed and complete trials with curves; the learning rate decides."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name=name, direction="maximize", sampler=sampler)
    study.set_user_attr("seqsweep.metric", ["val/accuracy"])
    study.set_user_attr("seqsweep.n_trials", trials)
    for number in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
        trial.suggest_categorical("model", ["rnn", "lstm", "gru"])
        if trial.suggest_int("model.num_layers", 1, 3) > 1:
            trial.suggest_float("model.dropout", 0, 0.5)
        value = 1 - abs(math.log10(rate) + 3) / 4
        for step in range(5):
            trial.report(value * (1 - 0.5**step), step)
        if number % 10 == 3:
            trial.set_user_attr("seqsweep.error", f"RuntimeError: too small\nin layer {number}")
            study.tell(trial, state=TrialState.FAIL)
        elif number % 5 == 1:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return study


def several() -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name="several", directions=["minimize", "maximize"], sampler=sampler)

    def objectives(trial: optuna.Trial) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return x + y, x - y

    study.optimize(objectives, n_trials=25)
    return study


def hostile() -> optuna.Study:
    """Names, values and errors full of markup; values that are no numbers; an endless error."""
    study = optuna.create_study(study_name=HOSTILE_NAME, direction="maximize")
    study.set_user_attr("seqsweep.metric", [f"val/{IMAGE}"])
    study.set_user_attr("note", SCRIPT)
    choices = ["<b>bold</b>", IMAGE, "%{x}", "2020-01-01", "漢字", "$policy", None, True]
    for number in range(24):
        trial = study.ask()
        trial.set_user_attr("note", SCRIPT)
        choice = trial.suggest_categorical(f"model{SCRIPT}", choices)
        rate = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        trial.suggest_int("größe.<i>n</i>", 1, 512, log=True)
        if choice == "漢字":
            trial.suggest_float("'\"&amp;", 0, 1)
        for step in range(6):
            trial.report(
                (math.nan, math.inf, -math.inf)[step % 3] if step == number % 7 else step - rate, step
            )
        if number == 5:
            trial.set_user_attr("seqsweep.error", f"{SCRIPT}{IMAGE} boom\n" + "x" * 100_000)
            study.tell(trial, state=TrialState.FAIL)
        elif number % 6 == 2:
            trial.set_user_attr("seqsweep.error", f"{IMAGE} \x1b[31m\x00\ud800 kaputt")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, {11: math.inf, 12: -math.inf}.get(number, rate))
    return study
