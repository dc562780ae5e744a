"""Plan: a study as the configuration describes it, read and checked before anything is written."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from seqsweep import paths
from seqsweep.checks import int_at_least, nearest, one_of, positive_float, positive_int
from seqsweep.cli.hydra_job import Application
from seqsweep.errors import ConfigError, StudyError
from seqsweep.sweeping import Budget, SearchSpace, StudySettings

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@dataclasses.dataclass(frozen=True)
class Plan:
    """A study as the configuration describes it, checked."""

    application: Application
    settings: StudySettings
    space: SearchSpace
    budget: Budget
    folder: Path
    enqueue: tuple[dict[str, Any], ...]
    """Configurations to try first."""
    identity: dict[str, str]
    """What makes two commands the same study, by dotted key; a change of any is a change of the study."""
    on_change: str

    @classmethod
    def read(
        cls, config: DictConfig, arguments: Sequence[str], context: HydraContext, function: TaskFunction
    ) -> Plan:
        """Check everything that needs no other process. Raises UsageError; writes nothing."""
        from omegaconf import OmegaConf

        if "hydra_plugins.seqsweep" not in str(config.hydra.launcher.get("_target_")):
            raise ConfigError(
                f"hydra/launcher: {config.hydra.launcher.get('_target_')} is not supported yet with "
                "hydra/sweeper=seqsweep: expected hydra/launcher=seqsweep"
            )
        sweeper: dict[str, Any] = OmegaConf.to_container(config.hydra.sweeper, resolve=True)  # type: ignore[assignment]
        application = Application(config, context, function)
        own_name = config.hydra.job.config_name if application.native else config.hydra.job.name
        name = _folder_name(str(sweeper["study_name"] or own_name))
        space = SearchSpace.parse(sweeper["params"], arguments, sweeper["conditional"])
        if not space.parameters:
            raise StudyError(f"study '{name}' searches nothing: expected hydra.sweeper.params")
        for values in sweeper["enqueue"]:
            space.check(values)
        folder = paths.study_folder(name)
        return cls(
            application,
            _settings(name, sweeper, space, application.native),
            space,
            _budget(sweeper, config.hydra.launcher.retries),
            folder,
            tuple(sweeper["enqueue"]),
            _identity(config, sweeper, space),
            one_of("hydra.sweeper.on_change", sweeper["on_change"], ("stop", "fresh")),
        )

    def renamed(self, name: str) -> Plan:
        """The same study under another name."""
        settings = dataclasses.replace(self.settings, name=name)
        return dataclasses.replace(self, settings=settings, folder=self.folder.with_name(name))

    def compose(self, number: int, values: Mapping[str, Any]) -> DictConfig:
        """The composed configuration of a trial, its `hydra` node included."""
        from omegaconf import read_write

        config = self.application.compose(self.space.overrides(values), number)
        with read_write(config):
            config.hydra.sweep.dir = str(self.folder)
            config.hydra.sweep.subdir = str(number)
        return config

    @property
    def tracking(self) -> dict[str, Any]:
        """The ``tracking`` group; another application, which has none, gets its defaults."""
        config = self.application.config
        defaults = {"uri": None, "experiment": config.hydra.job.name, "test_each": False}
        return {**defaults, **(config.tracking if self.application.native else {})}


def _folder_name(name: str) -> str:
    """A study's name is its folder's, too."""
    if not re.fullmatch(r"[\w][\w.-]*", name):
        raise StudyError(
            f"hydra.sweeper.study_name={name}: expected letters, digits, '.', '-' and '_': it names a folder"
        )
    return name


def _identity(config: DictConfig, sweeper: dict[str, Any], space: SearchSpace) -> dict[str, str]:
    """The study file's keys that decide its trials, the space, and the rest of the configuration."""
    from omegaconf import OmegaConf, open_dict, read_write

    study = {
        key: sweeper[key]
        for key in ("metric", "direction", "sampler", "pruner", "seeds", "enqueue", "conditional")
    }
    task = copy.copy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    searched = {parameter.key: str(parameter.distribution) for parameter in space.parameters}
    # What the command line fixes stands in the composed configuration; what `params` fixes does not.
    fixed = {key: value for key, value in sweeper["params"].items() if f"{key}={value}" in space.fixed}
    parts = {"hydra": {"sweeper": study}, "searched": searched, "fixed": fixed}
    return dict(_flat(parts, "")) | dict(_flat(OmegaConf.to_container(task, resolve=False), ""))


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, str(node)


def _settings(name: str, sweeper: dict[str, Any], space: SearchSpace, native: bool) -> StudySettings:
    # Another application's function returns the value itself, whatever it is called.
    metrics = _listed(sweeper["metric"]) or (() if native else ("objective",))
    if not metrics:
        raise StudyError(
            f"study '{name}' has no metric: expected hydra.sweeper.metric, such as val/accuracy or val/loss"
        )
    directions = tuple(
        one_of("hydra.sweeper.direction", word, ("minimize", "maximize"))
        for word in _listed(sweeper["direction"])
    )
    if not directions:
        raise StudyError("hydra.sweeper.direction=null: expected minimize or maximize")
    if len(metrics) != 1 or len(directions) != 1:
        raise StudyError(
            "hydra.sweeper.metric: several objectives are not supported yet: expected one metric"
        )
    sampler = _mapping("sampler", sweeper["sampler"])
    if sampler["_target_"].endswith("GridSampler") and "search_space" not in sampler:
        sampler["search_space"] = space.grid()
    if sampler["_target_"].endswith("BruteForceSampler"):
        space.grid()  # refuses what has no end before anything is written
    seed = sampler.get("seed")

    def make_sampler(derived: int | None) -> Any:
        return _instantiate("sampler", sampler if derived is None else {**sampler, "seed": derived})

    make_sampler(None)
    return StudySettings(
        name=name,
        storage=sweeper["storage"] or paths.study_storage(),
        metrics=metrics,
        directions=directions,
        sampler=make_sampler,
        pruner=_instantiate("pruner", sweeper["pruner"]),
        seed=seed,
    )


def _budget(sweeper: dict[str, Any], retries: int) -> Budget:
    for key, only in (("seeds", 1),):
        if sweeper[key] != only:
            raise ConfigError(f"hydra.sweeper.{key}={sweeper[key]}: not supported yet: expected {only}")
    optional = {
        key: None if sweeper[key] is None else positive_int(f"hydra.sweeper.{key}", sweeper[key])
        for key in ("patience", "max_failures")
    }
    timeout = sweeper["timeout"]
    return Budget(
        n_trials=positive_int("hydra.sweeper.n_trials", sweeper["n_trials"]),
        timeout=None if timeout is None else positive_float("hydra.sweeper.timeout", timeout),
        retries=int_at_least(0, "hydra.launcher.retries", retries),
        **optional,
    )


def _listed(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (str(value),)


def _instantiate(key: str, config: dict[str, Any]) -> Any:
    """An Optuna object from its ``_target_``. Raises StudyError with the nearest name."""
    from hydra.errors import HydraException
    from hydra.utils import instantiate
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

    try:
        made = instantiate(_mapping(key, config))
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
