from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from seqsweep.reporting.advice import Advice, advice
from seqsweep.reporting.importance import importance

optuna.logging.set_verbosity(optuna.logging.WARNING)


def given(distribution: BaseDistribution, pairs: list[tuple[Any, float]], **kind: Any) -> list[Advice]:
    study = optuna.create_study(**kind)
    for value, result in pairs:
        study.add_trial(create_trial(value=result, params={"x": value}, distributions={"x": distribution}))
    return advice(study, importance(study))


def kinds(found: list[Advice]) -> list[str]:
    return [each.kind for each in found]


@pytest.mark.parametrize(
    ("low", "high", "direction", "said"),
    [
        (0.1, 0.9, "minimize", "lower end of x (0.1): let it be smaller"),
        (0.1, 0.9, "maximize", "upper end of x (0.9): let it be larger"),
        (0.0, 0.9, "minimize", None),  # below nothing there is nothing
        (0.1, 1.0, "maximize", None),
    ],
)
def test_the_edge_that_the_best_touch(low: float, high: float, direction: str, said: str | None) -> None:
    values = [min(low + (high - low) * place / 99, high) for place in range(100)]
    found = given(FloatDistribution(low, high), [(value, value) for value in values], direction=direction)
    edges = [each for each in found if each.kind == "edge"]
    assert [each.parameters for each in edges] == ([("x",)] if said else [])
    assert said is None or said in edges[0].text


def test_an_edge_on_a_logarithmic_scale() -> None:
    values = [min(10 ** (-4 + 3 * place / 99), 1e-1) for place in range(100)]
    inside = [(value, abs(math.log10(value) + 3.2)) for value in values]
    assert "edge" not in kinds(given(FloatDistribution(1e-4, 1e-1, log=True), inside))
    beyond = [(value, math.log10(value)) for value in values]
    assert "edge" in kinds(given(FloatDistribution(1e-4, 1e-1, log=True), beyond))


def test_choices_of_numbers_have_edges() -> None:
    pairs = [(size, -size + number / 100) for number in range(12) for size in (32, 64, 128)]
    (edge, *_) = given(CategoricalDistribution([64, 32, 128]), pairs)
    assert (edge.kind, edge.parameters) == ("edge", ("x",))
    assert "upper end of x (128)" in edge.text


def test_a_choice_that_all_of_the_best_made() -> None:
    pairs = [(model, number + 100 * (model != "gru")) for number in range(10) for model in ("rnn", "gru")]
    (choice, *_) = given(CategoricalDistribution(["rnn", "gru"]), pairs)
    assert (choice.kind, choice.parameters) == ("choice", ("x",))
    assert "All of the best 5 trials have x=gru" in choice.text


def test_what_did_not_matter() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_int("idle", 1, 3)
        return abs(trial.suggest_float("x", 0, 1) - 0.5)

    study.optimize(objective, n_trials=200)
    (idle,) = [each for each in advice(study, importance(study)) if each.kind == "unimportant"]
    assert idle.parameters == ("idle",)
    assert "Fix it" in idle.text


@pytest.mark.parametrize(
    ("best", "said"), [(19, "among the last"), (3, "None of the 16 complete trials since")]
)
def test_whether_more_trials_may_help(best: int, said: str) -> None:
    pairs = [(0.5, abs(number - best)) for number in range(20)]
    found = given(FloatDistribution(0.1, 0.9), pairs)
    assert said in found[-1].text


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_to_say(count: int) -> None:
    (only,) = given(IntDistribution(1, 9), [(1, float(number)) for number in range(count)])
    assert only.kind == "budget"
    assert f"{count} complete trial" in only.text


def test_values_that_are_not_finite() -> None:
    pairs = [(0.5, value) for value in (math.inf, -math.inf, *range(10))]
    assert kinds(given(FloatDistribution(0.1, 0.9), pairs)) == ["budget"]


def test_several_objectives_are_advised_about_edges_only() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    space = {"x": FloatDistribution(0.1, 0.9)}
    for place in range(40):
        value = 0.1 + 0.02 * place
        study.add_trial(create_trial(values=[value, value], params={"x": value}, distributions=space))
    assert kinds(advice(study, importance(study))) == ["edge"]
