from __future__ import annotations

import math
import time
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from seqsweep.reporting.importance import best_trials, importance

optuna.logging.set_verbosity(optuna.logging.WARNING)

BOWL: dict[str, Any] = {"x": FloatDistribution(-1, 1), "useless": FloatDistribution(0, 1)}


def drawn(objective: Any, count: int, seed: int = 0, **kind: Any) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), **kind)
    study.optimize(objective, n_trials=count, catch=(ValueError,))
    return study


def mixed(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    layers = trial.suggest_int("layers", 0, 10)
    trial.suggest_int("size", 1, 512, log=True)
    dropout = trial.suggest_float("dropout", 0, 0.5, step=0.1)
    bias = trial.suggest_float("bias", 0, 1) if layers > 5 else 0.0
    return x**2 + math.log(rate / 1e-2) ** 2 / 20 + dropout + abs(layers - 5) / 50 + bias / 10


@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_weigh_what_optunas_own_says(seed: int) -> None:
    from optuna.importance import PedAnovaImportanceEvaluator

    study = drawn(mixed, 200, seed)
    theirs = PedAnovaImportanceEvaluator().evaluate(study)
    total, ours = sum(theirs.values()), importance(study)
    assert sum(ours.values()) == pytest.approx(1)
    assert ours == pytest.approx({name: value / total for name, value in theirs.items()}, abs=0.05)


def test_the_largest_is_first() -> None:
    shares = list(importance(drawn(mixed, 50)).values())
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_direction_counts(direction: str) -> None:
    sign = 1 if direction == "minimize" else -1

    def bowl(trial: optuna.Trial) -> float:
        trial.suggest_float("useless", 0, 1)
        return sign * abs(trial.suggest_float("x", -1, 1) - 0.9)

    assert importance(drawn(bowl, 100, direction=direction))["x"] > 0.9


def test_a_choice_that_decides() -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("useless", 0, 1)
        return float(trial.suggest_categorical("model", ["rnn", "gru"]) == "rnn")

    assert importance(drawn(objective, 100))["model"] > 0.9


def test_a_parameter_that_seldom_applies_weighs_less() -> None:
    def objective(trial: optuna.Trial) -> float:
        total = abs(trial.suggest_float("always", 0, 1) - 0.5)
        if trial.suggest_categorical("model", [*"abcde"]) == "a":
            total += abs(trial.suggest_float("sometimes", 0, 1) - 0.5)
        return total

    shares = importance(drawn(objective, 300))
    assert shares["sometimes"] < shares["always"] / 4


def test_several_objectives_are_about_the_front() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        trial.suggest_float("useless", 0, 1)
        place, away = trial.suggest_float("place", 0, 1), trial.suggest_float("away", 0, 1)
        return place + away, 1 - place + away

    shares = importance(drawn(objective, 200, directions=["minimize", "minimize"]))
    assert shares["away"] > 0.8


def add(study: optuna.Study, values: list[float]) -> None:
    for place, value in enumerate(values):
        params = {"x": place / len(values), "useless": 0.5}
        study.add_trial(create_trial(value=value, params=params, distributions=BOWL))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0, 1.0], [math.inf, -math.inf], [1.0, math.inf]])
def test_nothing_to_say(values: list[float]) -> None:
    study = optuna.create_study()
    add(study, values)
    assert importance(study) == {}


def test_a_value_that_is_not_finite_is_left_out() -> None:
    study, other = optuna.create_study(), optuna.create_study()
    add(study, [1.0, 2.0, 3.0, 4.0])
    add(other, [1.0, 2.0, 3.0, 4.0])
    study.add_trial(create_trial(value=math.inf, params={"x": 1.0, "useless": 1.0}, distributions=BOWL))
    assert importance(study) == importance(other)


def test_one_value_only_did_not_matter() -> None:
    study = optuna.create_study()
    fixed = CategoricalDistribution(["only"])
    for place in range(10):
        params = {"x": place / 10, "fixed": "only"}
        distributions = {"x": BOWL["x"], "fixed": fixed}
        study.add_trial(create_trial(value=place, params=params, distributions=distributions))
    assert importance(study) == {"x": 1.0, "fixed": 0.0}


def test_a_thousand_trials_take_no_time() -> None:
    study = drawn(mixed, 1000)
    began = time.perf_counter()
    importance(study)
    assert time.perf_counter() - began < 2


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.0]), st.floats(-5, 5)), min_size=1, max_size=40),
    st.sampled_from([["minimize"], ["maximize"], ["minimize", "maximize"]]),
)
def test_the_best_are_a_tenth_or_five_and_their_equals(
    values: list[tuple[float, float]], directions: list[str]
) -> None:
    study = optuna.create_study(directions=directions)
    study.add_trials([create_trial(values=list(each[: len(directions)])) for each in values])
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    best = best_trials(trials, study.directions)
    assert len(best) >= min(max(len(trials) / 10, 5), len(trials) / 2)
    assert {trial.number for trial in study.best_trials} <= best
    if len(directions) == 1:
        inside = [trial.values[0] for trial in trials if trial.number in best]
        outside = [trial.values[0] for trial in trials if trial.number not in best]
        if inside and outside:
            assert (
                (max(inside) < min(outside)) if directions == ["minimize"] else (min(inside) > max(outside))
            )


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_that_are_lists() -> None:
    sizes = CategoricalDistribution([[32, 64], [16]])  # type: ignore[list-item]  # Optuna warns, and stores them
    study = optuna.create_study()
    for number in range(20):
        choice = number % 2
        params = {"sizes": sizes.choices[choice]}
        study.add_trial(create_trial(params=params, distributions={"sizes": sizes}, value=float(choice)))
    assert importance(study) == {"sizes": 1.0}
