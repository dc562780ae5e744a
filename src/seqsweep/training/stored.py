"""Stored: a recorded run made again from its files, to be tested or asked for predictions.

The files may come from anywhere, so nothing in them is trusted: the configuration may name our own
classes and no others (unless the user allows one by name), and of a checkpoint only tensors are read.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import yaml

from seqsweep import checks
from seqsweep.data import Batches, SequenceData
from seqsweep.data.corpus import Corpus
from seqsweep.errors import ConfigError, DataError
from seqsweep.models import Model
from seqsweep.tasks import Task
from seqsweep.training import folder, seeding
from seqsweep.training.arguments import make_trainer
from seqsweep.training.building import Built
from seqsweep.training.instantiation import complete, instantiate
from seqsweep.training.quiet import quiet
from seqsweep.training.running import load_checkpoint, measured

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import Trainer

    from seqsweep.data import Examples
    from seqsweep.data.records import Records
    from seqsweep.spec import DataSpec

BASES: dict[str, type] = {"data": SequenceData, "model": Model, "task": Task}
"""What a stored run is made of, and what each part's class must be."""
MODULES = {"data": "seqsweep.data", "model": "seqsweep.models", "task": "seqsweep.tasks"}
"""Where our own classes are exported."""
TRAINER = ("accelerator", "precision", "limit_test_batches", "deterministic", "inference_mode")
"""Arguments of the Trainer that testing takes over; others, callbacks for one, could do anything."""
SHAPE = (
    "kind",
    "input_size",
    "vocabulary_size",
    "character_vocabulary_size",
    "output_size",
    "class_names",
    "per_step",
    "target_names",
    "horizon",
)
"""What data must have in common with what a run was trained on."""


@dataclass(frozen=True)
class Stored:
    """A recorded run: its configuration, what its data had taught, and where its checkpoint is."""

    config: dict[str, Any]
    fitted: Mapping[str, Any]
    spec: Mapping[str, Any]
    """Of the data it was trained on; empty where an older version did not keep it."""
    checkpoint: Path

    def test(self) -> dict[str, float]:
        """Metrics of the test part at its checkpoint; nothing is written.

        Raises:
            ConfigError: the configuration is wrong, or does not fit the checkpoint.
            DataError: the test data is missing, malformed, or of another shape.

        """
        data = self.data()
        data.setup()
        self._check_shape(data.spec)
        built = self._built(data, data.spec)
        with self._surroundings():
            load_checkpoint(built.task, self.checkpoint)
            return measured(built, self._trainer())

    def predict(self, path: Path) -> tuple[Corpus[Any], Records, list[Any]]:
        """The data module, the file's records and what the run says of each.

        Raises:
            ConfigError: the configuration is wrong, or does not fit the checkpoint.
            DataError: the file is malformed, or the run's data is not of the kind that is read from files.

        """
        data = self.data()
        if not isinstance(data, Corpus):
            raise DataError(
                f"the run was trained on {type(data).__name__}, which is not read from a file of one's own: "
                "there is nothing to predict for"
            )
        records, examples = data.unlabelled(path)
        built = self._built(data, data.describe_to_models(data.fitted))
        with self._surroundings():
            load_checkpoint(built.task, self.checkpoint)
            return data, records, _predictions(built.task, examples, data.eval_batch_size, self._trainer())

    def data(self) -> SequenceData:
        """Its data module, which takes what the run had learnt from its training part."""
        data: SequenceData = instantiate("data", self.config["data"])
        if self.fitted:
            data.use(self.fitted)
            if isinstance(data, Corpus):
                self._check_shape(_described(data))
        return data

    def _built(self, data: SequenceData, spec: DataSpec) -> Built:
        model = complete("model", instantiate("model", self.config["model"], supplied=1), spec)
        task = complete("task", instantiate("task", self.config["task"], supplied=4), model, spec, None, None)
        return Built(data, spec, model, task, {}, self.config)

    def _check_shape(self, spec: DataSpec) -> None:
        for name in SHAPE:
            found, known = getattr(spec, name), self.spec.get(name)
            found = list(found) if isinstance(found, tuple) else found
            if name in self.spec and found != known:
                raise DataError(
                    f"the data does not fit the run: its {name} is {_short(found)}, and the run was trained "
                    f"on {_short(known)}"
                )

    def _trainer(self) -> Trainer:
        node = self.config["trainer"]
        own = {name: node[name] for name in TRAINER if name in node}
        # one device: a second process would run this command once more
        return make_trainer(own, devices=1, enable_progress_bar=False, enable_model_summary=False)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """Threads, generators and Lightning's manners, as they were when the run was tested."""
        if self.config.get("threads") is not None:
            torch.set_num_threads(checks.positive_int("threads", self.config["threads"]))
        seed = checks.int_at_least(0, "seed", self.config.get("seed"))
        with quiet(), seeding.isolated(seed, "other"):
            yield


def read(
    directory: Path, overrides: Sequence[str] = (), *, allowed: Sequence[str] = (), threads: int | None = None
) -> Stored:
    """The run whose ``config.yaml``, ``data.json`` and ``best.ckpt`` are in `directory`.

    Args:
        directory: holds the files; ``data.json`` may be missing.
        overrides: ``key=value`` each, for keys that the configuration has.
        allowed: full names of classes that the configuration may name beside our own.
        threads: of the processor, where the configuration does not say.

    Raises:
        ConfigError: the configuration is none of ours, an override does not fit it, or it names a class
            that is not allowed.

    """
    config = _mapping(directory / folder.CONFIG, yaml.safe_load, yaml.YAMLError)
    _check_plain(config)
    for group in (*BASES, "trainer"):
        if not isinstance(config.get(group), Mapping):
            raise ConfigError(
                f"config.yaml: {group}={config.get(group)}: not the configuration of a run of ours"
            )
    for override in overrides:
        _change(config, override)
    for group in BASES:
        _check_targets(group, config[group], allowed)
    if config.get("threads") is None:
        config["threads"] = threads
    known = {}
    if (directory / folder.DATA).is_file():
        known = _mapping(directory / folder.DATA, json.loads, ValueError)
    fitted, spec = (known.get(name) or {} for name in ("fitted", "spec"))
    if not isinstance(fitted, Mapping) or not isinstance(spec, Mapping):
        raise ConfigError("data.json: expected mappings under fitted and spec")
    return Stored(config, fitted, spec, directory / folder.BEST)


def _mapping(path: Path, parse: Any, error: type[Exception]) -> dict[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (error, UnicodeDecodeError) as problem:
        reason = str(problem).splitlines()[0]
        raise ConfigError(f"{path.name}: not readable as what it should be ({reason})") from problem
    if not isinstance(found, dict):
        raise ConfigError(f"{path.name}: expected a mapping, found {type(found).__name__}")
    return found


# ---------------------------------------------------------------- overrides

PARTS = ("data", "model", "task", *(f"trainer.{name}" for name in TRAINER), "threads", "seed")
"""Keys, and those under them, that make a difference to a run that is trained already."""


def _change(config: dict[str, Any], text: str) -> None:
    """Set the key that ``key=value`` names."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(f"'{text}' cannot be read: expected key=value") from error
    key, value = override.key_or_group, override.value()
    if override.is_add() or override.is_delete() or override.is_sweep_override():
        raise ConfigError(f"'{text}': expected key=value with one value, for a key that the run has")
    known = dict(_leaves(config))
    if key not in known:
        raise ConfigError(f"{key}: the run's configuration has no such key{checks.nearest(key, known)}")
    if not any(key == part or key.startswith(f"{part}.") for part in PARTS):
        raise ConfigError(f"{key}={value}: makes no difference to a run that is trained already")
    *groups, name = key.split(".")
    node = config
    for group in groups:
        node = node[group]
    node[name] = value


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key; an empty mapping is a value."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# ---------------------------------------------------------------- trust


def _check_plain(value: object, key: str = "") -> None:
    """Raise ConfigError for anything but what JSON has too.

    YAML can write tuples, sets and dates: nothing of ours, and a tuple is looked through by Hydra when
    it builds, so that a class could hide in one.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            _check_plain(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for part in value:
            _check_plain(part, key)
    elif not isinstance(value, str | int | float | bool | None):
        raise ConfigError(f"config.yaml: {key} is a {type(value).__name__}; expected plain values only")


def _check_targets(group: str, node: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise ConfigError for a class that is neither ours nor allowed, anywhere under the group."""
    name = node.get("_target_")
    if name not in allowed and not _is_ours(name, group):
        raise _refused(group, name)
    for key, nested in _nodes(node, group):
        if "_target_" in nested and nested is not node:
            name = nested["_target_"]
            if name not in allowed and not any(_is_ours(name, own) for own in BASES):
                raise _refused(key, name)


def _is_ours(name: object, group: str) -> bool:
    """Whether it is the exact name of a class that we export for that group."""
    module, _, short = str(name).rpartition(".")
    if not isinstance(name, str) or module != MODULES[group]:
        return False
    package = importlib.import_module(module)
    if short not in package.__all__:
        return False
    found = getattr(package, short)
    return (
        isinstance(found, type)
        and issubclass(found, BASES[group])
        and found.__qualname__ == short
        and found.__module__.startswith(f"{module}.")
    )


def _nodes(value: object, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All mappings in `value`, itself included, by dotted key."""
    if isinstance(value, Mapping):
        yield key, value
        for name, part in value.items():
            yield from _nodes(part, f"{key}.{name}")
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _nodes(part, f"{key}.{place}")
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{key}={value}: expected a plain value; a stored configuration refers to nothing")


def _refused(key: str, name: object) -> ConfigError:
    return ConfigError(
        f"{key}._target_={name}: a stored run may name only seqsweep's own classes; if you trust it, "
        f"--allow {name} admits it"
    )


# ---------------------------------------------------------------- predictions


def _predictions(task: Task, examples: Examples, batch_size: int, trainer: Trainer) -> list[Any]:
    """What the task says of each example, in order."""
    device = trainer.strategy.root_device
    task.to(device).eval()
    found: list[Any] = []
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        for batch in Batches(examples, batch_size):
            found += task.predictions(batch.to(device))
    return found


def _described(data: Corpus[Any]) -> DataSpec:
    """What the data module makes of what it was given. Raises ConfigError if it can make nothing of it."""
    try:
        return data.describe_to_models(data.fitted)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"data.json: not what {type(data).__name__} had learnt ({type(error).__name__}: {error})"
        ) from error


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
