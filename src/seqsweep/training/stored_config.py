"""The configuration of a recorded run, read from its files, changed as the user says, found harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.training import folder, trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TESTING = ("accelerator", "precision", "limit_test_batches", "deterministic", "inference_mode")
"""Arguments of the Trainer that testing takes over; others, callbacks for one, could do anything."""
PARTS = ("data", "model", "task", *(f"trainer.{name}" for name in TESTING), "threads", "seed")
"""Keys, and those under them, that make a difference to a run that is trained already."""
PLACES = ("data.root", "data.train", "data.val", "data.test", "data.rul", "threads", "trainer.accelerator")
"""Keys that say where and on what a run is trained, and not which run it is."""


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few of them, one in another, can stand for more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias; a run's own configuration has none")
        return super().compose_node(parent, index)


def read_config(
    directory: Path, overrides: Sequence[str] = (), *, allowed: Sequence[str] = (), training: bool = False
) -> dict[str, Any]:
    """The configuration in `directory`.

    Args:
        directory: holds ``config.yaml``.
        overrides: ``key=value`` each, for keys that the configuration has; ``security.allow=[...]`` too.
        allowed: full names of classes that the configuration may name beside our own.
        training: whether the run is to be trained, and not only used.

    Raises:
        ConfigError: the configuration is none of ours, an override does not fit it, or it names a class
            that is not allowed.

    """
    admitted, overrides = trust.allowed_by(overrides)
    config = stored_config(directory)
    for override in overrides:
        _change(config, override, training)
    trust.check_plain(config)
    check = trust.check_training if training else trust.check_parts
    check(config, [*allowed, *admitted])
    return config


def stored_config(directory: Path) -> dict[str, Any]:
    """What ``config.yaml`` says, as plain values. Raises ConfigError if it is not a run's of ours."""
    config = read_mapping(directory / folder.CONFIG, lambda text: yaml.load(text, _Plain), yaml.YAMLError)  # noqa: S506 - a SafeLoader
    trust.check_plain(config)
    for group in (*trust.BASES, "trainer"):
        if not isinstance(config.get(group), Mapping):
            raise ConfigError(
                f"config.yaml: {group}={config.get(group)}: not the configuration of a run of ours"
            )
    if not isinstance(config.get("tracking") or {}, Mapping):
        raise ConfigError(f"config.yaml: tracking={config['tracking']}: expected a mapping")
    return config


def stored_data(directory: Path) -> dict[str, Any]:
    """What ``data.json`` says of the data; nothing where an older version did not keep it.

    Raises:
        ConfigError: it is damaged.

    """
    if not (directory / folder.DATA).is_file():
        return {}
    known = read_mapping(directory / folder.DATA, json.loads, ValueError)
    for name in ("fitted", "spec"):
        if not isinstance(known.get(name) or {}, Mapping):
            raise ConfigError("data.json: expected mappings under fitted and spec")
    return known


def read_mapping(path: Path, parse: Callable[[str], Any], error: type[Exception]) -> dict[str, Any]:
    """The mapping in a file. Raises ConfigError if it holds something else."""
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (error, UnicodeDecodeError, RecursionError) as problem:
        reason = str(problem).splitlines()[0]
        raise ConfigError(f"{path.name}: not readable as what it should be ({reason})") from problem
    if not isinstance(found, dict):
        raise ConfigError(f"{path.name}: expected a mapping, found {type(found).__name__}")
    return found


def _change(config: dict[str, Any], text: str, training: bool) -> None:
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
    if training and key not in PLACES:
        raise ConfigError(f"{key}={value}: makes it another run; `seqsweep train` trains one")
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
