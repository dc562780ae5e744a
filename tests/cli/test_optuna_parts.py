"""Every sampler and pruner of Optuna's, as a study file names it."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from seqsweep.cli.optuna_parts import make_pruner, sampler_factory
from seqsweep.errors import StudyError
from seqsweep.protocol import Complete, Failed, Infeasible, Outcome, Pruned
from seqsweep.sweeping import SearchSpace, Study, StudySettings

ENDLESS = SearchSpace.parse(
    {
        "x": "interval(-1.0,1.0)",
        "n": "interval(1,8)",
        "lr": "tag(log,interval(1e-4,1e-1))",
        "kind": "choice(a,b)",
    }
)
FINITE = SearchSpace.parse({"n": "range(0,4)", "kind": "choice(a,b,c)"})

SAMPLERS: dict[str, dict[str, Any]] = {
    "TPESampler": {"n_startup_trials": 2},
    "RandomSampler": {},
    "GPSampler": {"n_startup_trials": 10},
    "QMCSampler": {"scramble": True},
    "NSGAIISampler": {"population_size": 3},
    "NSGAIIISampler": {"population_size": 3},
    "PartialFixedSampler": {
        "fixed_params": {"kind": "b"},
        "base_sampler": {"_target_": "optuna.samplers.RandomSampler", "seed": 0},
    },
    "BruteForceSampler": {},
    "GridSampler": {},
    "CmaEsSampler": {},
}
PRUNERS: dict[str, dict[str, Any]] = {
    "HyperbandPruner": {"max_resource": 4},
    "MedianPruner": {"n_startup_trials": 1},
    "NopPruner": {},
    "PatientPruner": {"wrapped_pruner": {"_target_": "optuna.pruners.MedianPruner"}, "patience": 1},
    "PercentilePruner": {"percentile": 25.0, "n_startup_trials": 1},
    "SuccessiveHalvingPruner": {},
    "ThresholdPruner": {"upper": 5.0},
    "WilcoxonPruner": {},
}


def node(kind: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    seed = {} if kind == "pruners" or "base_sampler" in arguments else {"seed": 0}
    return {"_target_": f"optuna.{kind}.{name}", **seed, **arguments}


def test_none_is_forgotten() -> None:
    bases = {"BaseSampler", "BaseGASampler", "nsgaii", "BasePruner"}
    assert set(SAMPLERS) == set(optuna.samplers.__all__) - bases
    assert set(PRUNERS) == set(optuna.pruners.__all__) - bases


def parts(number: int) -> Outcome:
    return [Complete((1.0,)), Pruned(0.5), Complete((2.0,)), Failed("no good"), Infeasible("no room")][
        number % 5
    ]


@pytest.mark.filterwarnings(
    "ignore:Constraints have been set"
)  # CMA-ES does not learn from infeasible trials
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_suggest_and_do_not_repeat_themselves_when_reopened(name: str) -> None:
    finite = name in {"BruteForceSampler", "GridSampler"}
    space = FINITE if finite else ENDLESS
    make, seed = sampler_factory(node("samplers", name, SAMPLERS[name]), space, ["minimize"])
    assert seed == 0
    settings = StudySettings(
        "study",
        optuna.storages.InMemoryStorage(),
        ("loss",),
        ("minimize",),
        make,
        optuna.pruners.NopPruner(),
        seed,
    )
    drawn = []
    for _ in range(3):
        study = Study.open(settings, space)
        for _ in range(4):
            suggestion = study.ask()
            assert not space.check(suggestion.values)
            drawn.append(tuple(suggestion.values.items()))
            study.report(suggestion, 1.0, 1)
            study.tell(suggestion, parts(suggestion.number), 0.0)
    if name.startswith(("GP", "NSGA")):  # which may well suggest again what was good
        assert drawn[:4] != drawn[4:8] != drawn[8:]
    else:
        assert len(set(drawn)) == 12


@pytest.mark.parametrize("name", PRUNERS)
def test_pruners_are_asked(name: str) -> None:
    pruner = make_pruner(node("pruners", name, PRUNERS[name]), 1)
    make, seed = sampler_factory(node("samplers", "RandomSampler", {}), ENDLESS, ["minimize"])
    storage = optuna.storages.InMemoryStorage()
    settings = StudySettings("study", storage, ("loss",), ("minimize",), make, pruner, seed)
    study = Study.open(settings, ENDLESS)
    stopped = []
    for number in range(6):
        suggestion = study.ask()
        went = [study.report(suggestion, float(number + step / 10), step) for step in range(1, 5)]
        stopped.append(not all(went))
        study.tell(suggestion, Complete((float(number),)) if all(went) else Pruned(float(number)), 0.0)
    assert any(stopped) == (name != "NopPruner")


def test_a_sampler_that_cannot_is_refused_before_anything_is_written() -> None:
    cma = node("samplers", "CmaEsSampler", {})
    with pytest.raises(StudyError, match="CmaEsSampler"):
        sampler_factory(cma, ENDLESS, ["minimize", "maximize"])


def test_several_objectives_are_not_pruned() -> None:
    assert isinstance(make_pruner(node("pruners", "NopPruner", {}), 2), optuna.pruners.NopPruner)
    with pytest.raises(StudyError, match="MedianPruner: a study of several objectives is not pruned"):
        make_pruner(node("pruners", "MedianPruner", {}), 2)
