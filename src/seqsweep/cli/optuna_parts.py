"""Optuna's samplers and pruners from the ``_target_`` nodes of a study file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

from seqsweep.checks import nearest
from seqsweep.errors import StudyError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    from seqsweep.sweeping import SearchSpace

SamplerFactory = Callable[[int | None], "BaseSampler"]
"""Makes the sampler, from a seed or from the study file's own."""


def sampler_factory(
    node: object, space: SearchSpace, directions: Sequence[str]
) -> tuple[SamplerFactory, int | None]:
    """What makes the sampler, and the seed that the study file gives it.

    Raises StudyError if the node is wrong, or the sampler cannot suggest from this space.
    """
    config = _mapping("sampler", node)
    target = config["_target_"]
    if target.endswith("GridSampler") and "search_space" not in config:
        config["search_space"] = space.grid()
    if target.endswith("BruteForceSampler"):
        space.grid()  # refuses what has no end before anything is written

    def make(seed: int | None) -> BaseSampler:
        sampler: BaseSampler = _instantiate("sampler", config if seed is None else _reseeded(config, seed))
        return sampler

    _try(make, space, directions, target)
    return make, _seed(config)


def make_pruner(node: object, objectives: int) -> BasePruner:
    """The pruner. Raises StudyError if the node is wrong, or there is more than one objective to prune by."""
    pruner: BasePruner = _instantiate("pruner", _mapping("pruner", node))
    if objectives > 1 and not isinstance(pruner, optuna.pruners.NopPruner):
        raise StudyError(
            f"hydra.sweeper.pruner: {type(pruner).__name__}: a study of several objectives is not pruned: "
            "expected optuna.pruners.NopPruner"
        )
    return pruner


def _try(make: SamplerFactory, space: SearchSpace, directions: Sequence[str], target: str) -> None:
    """Let the sampler suggest once after some trials: what it lacks is missing only then."""
    study = optuna.create_study(directions=[StudyDirection[word.upper()] for word in directions])
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for _ in range(2):
        trial = study.ask()
        space.suggest(trial)
        study.tell(trial, [0.0] * len(directions))
    study.sampler = make(0)
    try:
        space.suggest(study.ask())
    except ModuleNotFoundError as error:
        raise StudyError(
            f"hydra.sweeper.sampler: {target} needs the package {error.name}: pip install {error.name}"
        ) from None
    except Exception as error:  # samplers refuse spaces and directions in ways of their own
        raise StudyError(f"hydra.sweeper.sampler: {target}: {' '.join(str(error).split())}") from None


def _seed(config: Mapping[str, Any]) -> int | None:
    seed: int | None = config.get("seed", _seed(config["base_sampler"]) if "base_sampler" in config else None)
    return seed


def _reseeded(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The node with another seed; a sampler that wraps another has none itself."""
    if "base_sampler" in config:
        return {**config, "base_sampler": _reseeded(config["base_sampler"], seed)}
    return {**config, "seed": seed}


def _instantiate(key: str, config: dict[str, Any]) -> Any:
    """An Optuna object. Raises StudyError with the nearest name."""
    from hydra.errors import HydraException
    from hydra.utils import instantiate
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # it was asked for by name
            made = instantiate(config)
    except (HydraException, TypeError, ValueError) as error:
        target = str(config.get("_target_"))
        known = [f"optuna.{key}s.{name}" for name in getattr(optuna, f"{key}s").__all__]
        if target.startswith("optuna.") and target not in known:
            raise StudyError(f"hydra.sweeper.{key}: there is no {target}{nearest(target, known)}") from None
        cause = error.__cause__ or error
        raise StudyError(f"hydra.sweeper.{key}: {target}: {' '.join(str(cause).split())}") from None
    if not isinstance(made, BaseSampler if key == "sampler" else BasePruner):
        raise StudyError(
            f"hydra.sweeper.{key}: {config['_target_']} makes no {key}: expected one of Optuna's"
        )
    return made


def _mapping(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise StudyError(
            f"hydra.sweeper.{key}={value}: expected a mapping with _target_, "
            f"such as {{_target_: optuna.{key}s....}}"
        )
    return dict(value)
