"""Trust: what a configuration that comes out of a Run may name and say.

It may come from anywhere, so it is believed in nothing. It may name our own classes and the few of
PyTorch's that our own configurations name, each by its exact name, and nothing is imported before a name
is found in order. Whatever else it names is refused unless the user admits it: ``security.allow``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqsweep import checks
from seqsweep.data import SequenceData
from seqsweep.errors import ConfigError
from seqsweep.models import Model
from seqsweep.tasks import Task
from seqsweep.training.instantiation import resolve

ALLOW = "security.allow"
"""The key of the classes that a user admits; only what is typed counts, never a stored configuration."""

BASES: dict[str, type] = {"data": SequenceData, "model": Model, "task": Task}
"""What a stored run is made of, and what each part's class must be."""
MODULES = {"data": "seqsweep.data", "model": "seqsweep.models", "task": "seqsweep.tasks"}
"""Where our own classes are exported."""
SHIPPED = {
    "optimizer": frozenset(f"torch.optim.{name}" for name in ("Adam", "AdamW", "RMSprop", "SGD")),
    "scheduler": frozenset(
        {
            "seqsweep.tasks.WarmUp",
            "torch.optim.lr_scheduler.CosineAnnealingLR",
            "torch.optim.lr_scheduler.OneCycleLR",
            "torch.optim.lr_scheduler.ReduceLROnPlateau",
        }
    ),
}
"""What the shipped configurations name beside our own classes; only training makes these."""
TRAINER = frozenset(
    {
        "accelerator",
        "accumulate_grad_batches",
        "benchmark",
        "callbacks",
        "check_val_every_n_epoch",
        "compile",
        "detect_anomaly",
        "deterministic",
        "devices",
        "enable_model_summary",
        "enable_progress_bar",
        "gradient_clip_algorithm",
        "gradient_clip_val",
        "inference_mode",
        "limit_test_batches",
        "limit_train_batches",
        "limit_val_batches",
        "log_every_n_steps",
        "matmul_precision",
        "max_epochs",
        "min_epochs",
        "overfit_batches",
        "patience",
        "precision",
    }
)
"""Arguments of the Trainer that training takes over; others could write files or speak with other hosts."""
MOST_THREADS = 1024

PLAIN = (str, int, float, bool, type(None))


def allowed_by(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """What ``security.allow=[...]`` among the overrides admits, and the other overrides.

    Raises:
        ConfigError: what is admitted is not a list of names.

    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    names: list[str] = []
    rest: list[str] = []
    for text in overrides:
        if text.partition("=")[0] != ALLOW:
            rest.append(text)
            continue
        try:
            value = OverridesParser.create().parse_override(text).value()
        except HydraException:
            value = None
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise ConfigError(f"'{text}': expected {ALLOW}=[package.Class], a list of full names")
        names += found
    return names, rest


def check_plain(value: object, key: str = "") -> None:
    """Raise ConfigError for anything but what JSON has too, and for a reference to something else.

    YAML can write tuples, sets and dates: nothing of ours, and a tuple is looked through by Hydra when
    it builds, so that a class could hide in one. A reference could read the environment.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            if not isinstance(name, str) or "." in name:
                raise ConfigError(f"config.yaml: {key}: {name} is no name of a key")
            check_plain(part, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for part in value:
            check_plain(part, key)
    elif not isinstance(value, PLAIN):
        raise ConfigError(f"config.yaml: {key} is a {type(value).__name__}; expected plain values only")
    elif isinstance(value, str) and ("${" in value or value == "???"):
        raise ConfigError(f"{key}={value}: expected a plain value; a stored configuration refers to nothing")


def check_parts(config: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise ConfigError for a class among data, model and task that is neither ours nor allowed."""
    _check_classes(allowed)
    for group in BASES:
        _check_group(group, config[group], allowed)
    for key in ("seed", "threads"):
        if config.get(key) is not None:
            checks.int_at_least(0, key, config[key])
    if (config.get("threads") or 1) > MOST_THREADS:
        raise ConfigError(f"threads={config['threads']}: expected at most {MOST_THREADS}")


def check_training(config: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """As `check_parts`, for all that training makes: optimiser, schedule and callbacks too."""
    check_parts(config, allowed)
    for group, names in SHIPPED.items():
        node = config.get(group)
        if node is None and group == "scheduler":
            continue
        if not isinstance(node, Mapping):
            raise ConfigError(f"{group}={node}: not the configuration of a run of ours")
        _check_nodes(group, node, names, allowed)
    trainer = config["trainer"]
    for name, value in trainer.items():
        if name not in TRAINER:
            raise ConfigError(f"trainer.{name}={value}: a stored run may not set this; `seqsweep train` may")
        if name != "callbacks" and not isinstance(value, PLAIN):
            raise ConfigError(f"trainer.{name}={value}: expected a plain value")
    _check_callbacks(trainer.get("callbacks"), allowed)


def _check_callbacks(nodes: object, allowed: Sequence[str]) -> None:
    """Callbacks can do anything, so that none is allowed by itself."""
    if nodes is None:
        return
    parts = list(nodes.values()) if isinstance(nodes, Mapping) else nodes
    if not isinstance(parts, list) or not all(part is None or isinstance(part, Mapping) for part in parts):
        raise ConfigError(f"trainer.callbacks={nodes}: expected nodes by name, or a list of them")
    for key, node in nodes.items() if isinstance(nodes, Mapping) else enumerate(parts):
        if node is not None:
            _check_nodes(f"trainer.callbacks.{key}", node, frozenset(), allowed)


def _check_nodes(group: str, node: Mapping[str, Any], names: frozenset[str], allowed: Sequence[str]) -> None:
    """The node itself may be one of `names`; what is nested in it has to be allowed."""
    name = node.get("_target_")
    if not isinstance(name, str) or (name not in names and name not in allowed):
        raise _refused(group, name)
    for key, nested in _nodes(node, group):
        if "_target_" in nested and nested is not node and nested["_target_"] not in allowed:
            raise _refused(key, nested["_target_"])


def _check_group(group: str, node: Mapping[str, Any], allowed: Sequence[str]) -> None:
    name = node.get("_target_")
    if name not in allowed and not _is_ours(name, group):
        raise _refused(group, name)
    if bool(node.get("_partial_")) == (group == "data"):
        raise ConfigError(
            f"{group}._partial_={node.get('_partial_')}: not the configuration of a run of ours"
        )
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


def _check_classes(allowed: Sequence[str]) -> None:
    """What the user admits has to be classes by their own names, not what a module happens to hold."""
    for name in allowed:
        found = resolve(ALLOW, name)
        module, _, short = name.rpartition(".")
        own = f"{getattr(found, '__module__', '')}."
        if not isinstance(found, type) or found.__qualname__ != short or not own.startswith(f"{module}."):
            raise ConfigError(f"{ALLOW}=[{name}]: expected the full name of a class, in its own package")


def _nodes(value: object, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All mappings in `value`, itself included, by dotted key."""
    if isinstance(value, Mapping):
        yield key, value
        for name, part in value.items():
            yield from _nodes(part, f"{key}.{name}")
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _nodes(part, f"{key}.{place}")


def _refused(key: str, name: object) -> ConfigError:
    return ConfigError(
        f"{key}._target_={name}: a stored run may name only seqsweep's own classes; if you trust it, "
        f"{ALLOW}=[{name}] admits it"
    )
