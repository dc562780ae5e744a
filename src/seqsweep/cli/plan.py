"""Plan: a study as the configuration describes it, read and checked before anything is written."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.checks import int_at_least, one_of, positive_float, positive_int
from seqsweep.cli.foreign import batch_size
from seqsweep.cli.frozen import FrozenConf, live_loader
from seqsweep.cli.hydra_job import Application
from seqsweep.cli.optuna_parts import make_pruner, sampler_factory
from seqsweep.errors import ConfigError, StudyError
from seqsweep.sweeping import Budget, SearchSpace, StudySettings

if TYPE_CHECKING:
    from omegaconf import DictConfig

BUDGET = ("n_trials", "timeout", "patience", "max_failures", "batch_size")
"""Keys of ``hydra.sweeper`` that may change while a study is under way, like all of the launcher's."""


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
    batch: int | None
    """How many trials another launcher than ours is handed at once; None with ours."""
    live: DictConfig
    """The configuration as Hydra has composed it now, from the files as they are."""

    @classmethod
    def read(cls, application: Application, live: DictConfig | None = None) -> Plan:
        """Check everything that needs no other process. Raises UsageError; writes nothing."""
        from omegaconf import OmegaConf

        config = application.config
        sweeper: dict[str, Any] = OmegaConf.to_container(config.hydra.sweeper, resolve=True)  # type: ignore[assignment]
        own_name = config.hydra.job.config_name if application.native else config.hydra.job.name
        name = _folder_name(str(sweeper["study_name"] or own_name))
        space = SearchSpace.parse(sweeper["params"], config.hydra.overrides.task, sweeper["conditional"])
        if not space.parameters:
            raise StudyError(f"study '{name}' searches nothing: expected hydra.sweeper.params")
        for values in sweeper["enqueue"]:
            space.check(values)
        return cls(
            application,
            _settings(name, sweeper, space, application.native),
            space,
            _budget(sweeper, config.hydra.launcher.get("retries", 1)),  # ours has the key
            paths.study_folder(name),
            tuple(sweeper["enqueue"]),
            _identity(config, sweeper, space),
            one_of("hydra.sweeper.on_change", sweeper["on_change"], ("stop", "frozen", "fresh", "extend")),
            batch_size(config),
            config if live is None else live,
        )

    def renamed(self, name: str) -> Plan:
        """The same study under another name."""
        settings = dataclasses.replace(self.settings, name=name)
        return dataclasses.replace(self, settings=settings, folder=self.folder.with_name(name))

    # ------------------------------------------------------------ the frozen copy

    @property
    def conf(self) -> FrozenConf:
        """The study's copy of its configuration files."""
        return FrozenConf(self.folder)

    def checking(self) -> Plan:
        """The same study before it begins: its trials would be composed from the files as they are."""
        loader = live_loader(self.live)
        return dataclasses.replace(self, application=self.application.composing_with(loader))

    def freeze(self) -> Plan:
        """The same study, its trials composed from the copy."""
        return dataclasses.replace(self, application=self.application.composing_with(self.conf.loader()))

    def resumed(self) -> Plan:
        """The study's own file and overrides as they are now, all else as it was when it began."""
        return self._with(self.conf.recompose(self.live))

    def as_it_began(self) -> Plan:
        """The study of the copy, with the budget and the launcher of now."""
        from omegaconf import read_write

        config, now = self.conf.compose(), self.application.config
        with read_write(config):
            config.hydra.launcher = now.hydra.launcher
            for key in BUDGET:
                config.hydra.sweeper[key] = now.hydra.sweeper[key]
        return self._with(config)

    def _with(self, config: DictConfig) -> Plan:
        application = dataclasses.replace(self.application, config=config)
        return Plan.read(application, self.live).renamed(self.settings.name).freeze()

    # ------------------------------------------------------------ trials

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

    study = {key: sweeper[key] for key in ("metric", "direction", "sampler", "pruner", "seeds", "enqueue")}
    study["conditional"] = [entry["when"] for entry in sweeper["conditional"]]
    task = copy.copy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    searched = {parameter.key: str(parameter.distribution) for parameter in space.all_parameters()}
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
    metrics, directions = _objectives(name, sweeper, native)
    sampler, seed = sampler_factory(sweeper["sampler"], space, directions)
    return StudySettings(
        name=name,
        storage=sweeper["storage"] or paths.study_storage(),
        metrics=metrics,
        directions=directions,
        sampler=sampler,
        pruner=make_pruner(sweeper["pruner"], len(metrics)),
        seed=seed,
    )


def _objectives(name: str, sweeper: dict[str, Any], native: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is optimised, and in which direction each."""
    directions = tuple(
        one_of("hydra.sweeper.direction", word, ("minimize", "maximize"))
        for word in _listed(sweeper["direction"])
    )
    if not directions:
        raise StudyError("hydra.sweeper.direction=null: expected minimize or maximize")
    metrics = _listed(sweeper["metric"])
    if not metrics and native:
        raise StudyError(
            f"study '{name}' has no metric: expected hydra.sweeper.metric, such as val/accuracy or val/loss"
        )
    if not metrics:  # another application's function returns the values themselves, whatever they are called
        several = [f"objective_{i}" for i in range(len(directions))]
        metrics = tuple(several) if len(several) > 1 else ("objective",)
    if len(set(metrics)) < len(metrics):
        raise StudyError(f"hydra.sweeper.metric={list(metrics)}: expected different metrics")
    if len(metrics) != len(directions):
        raise StudyError(
            f"hydra.sweeper.direction={sweeper['direction']}: expected a list of {len(metrics)}, "
            f"minimize or maximize for each of {', '.join(metrics)}"
        )
    return metrics, directions


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
