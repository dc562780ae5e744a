"""The ``trainer`` group: arguments of Lightning's Trainer, checked by name and value."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities import registry
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.training import compiling, rounding
from seqsweep.training.instantiation import instantiate
from seqsweep.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OURS = {
    "logger": "runs are recorded by seqsweep; see tracking",
    "default_root_dir": "it is the run's folder",
    "enable_checkpointing": "checkpoints are written by seqsweep; see tracking.keep_checkpoints",
    "num_sanity_val_steps": "validations count",
    "max_steps": "runs are counted in epochs: trainer.max_epochs",
    "max_time": "runs are counted in epochs: trainer.max_epochs",
    "val_check_interval": "validation is at an epoch's end; for fewer, trainer.check_val_every_n_epoch",
    "fast_dev_run": "trainer.max_epochs, trainer.limit_train_batches and the like make a run short",
    "barebones": "a run without validation has no result",
    "strategy": "how many devices a run has is said by hydra.launcher.devices_per_trial",
    "num_nodes": "a run has one machine",
    "plugins": "how many devices a run has is said by hydra.launcher.devices_per_trial",
}
"""Arguments that are refused, and why."""

ADDED = ("patience", "compile", "matmul_precision")
"""Keys that are ours, and not Lightning's."""


def _one_device(name: str, value: object) -> object:
    if value not in (1, "auto"):
        raise ConfigError(f"{name}={value}: expected 1; for more, hydra.launcher.devices_per_trial")
    return value


def _precision(name: str, value: object) -> object:
    """Batches are of 32 bits, and the network's weights must be of the same kind."""
    known = ("32-true", "16-mixed", "bf16-mixed")
    if str(value) not in (*known, "32", "16", "bf16"):  # which Lightning takes for them
        checks.one_of(name, str(value), known)
    return value


def _optional(check: Callable[[str, object], object]) -> Callable[[str, object], object]:
    return lambda name, value: None if value is None else check(name, value)


VALUES: dict[str, Callable[[str, object], object]] = {
    "max_epochs": checks.positive_int,
    "min_epochs": _optional(checks.positive_int),
    "gradient_clip_val": _optional(checks.positive_float),
    "log_every_n_steps": checks.positive_int,
    "accumulate_grad_batches": checks.positive_int,
    "check_val_every_n_epoch": checks.positive_int,
    "devices": _one_device,
    "patience": _optional(checks.positive_int),
    "precision": _optional(_precision),
    "compile": compiling.checked,
    "matmul_precision": _optional(lambda name, value: checks.one_of(name, str(value), rounding.PRECISIONS)),
}
"""Arguments whose values are checked here; Lightning checks the others."""


# Lightning looks for plugins whenever it makes a Trainer: it reads a file of each package that is installed.
_lightning: Any = registry
_lightning.entry_points = cache(_lightning.entry_points)
_lightning.entry_points(group="lightning.pytorch.callbacks_factory")  # so that forked workers know


def trainer_arguments(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node as arguments for `Trainer`, callbacks built.

    Raises:
        ConfigError: an argument is unknown, not the user's to set, or out of its range.

    """
    known = [name for name in inspect.signature(Trainer).parameters if name not in OURS]
    for name, value in node.items():
        key = f"trainer.{name}"
        if name in OURS:
            raise ConfigError(f"{key}={value}: not to be set here: {OURS[name]}")
        if name not in known and name not in ADDED:
            raise ConfigError(
                f"{key}={value}: Lightning's Trainer has no such argument{checks.nearest(name, known)}"
            )
        if name in VALUES:
            VALUES[name](key, value)
    if "max_epochs" not in node:
        raise ConfigError("trainer.max_epochs=null: expected an integer of at least 1")
    arguments = {name: value for name, value in node.items() if name not in ADDED}
    if "devices" in arguments:
        arguments["devices"] = 1  # "auto" would be all there are
    arguments["callbacks"] = _callbacks(node.get("callbacks"))
    make_trainer(arguments)
    return arguments


def make_trainer(arguments: dict[str, Any], **ours: Any) -> Trainer:
    """A Trainer that writes nothing of its own. Raises ConfigError if Lightning refuses an argument."""
    always = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    try:
        with quiet():
            return Trainer(**arguments | always | ours)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise _explained(arguments, str(error)) from error


def _explained(arguments: Mapping[str, Any], message: str) -> ConfigError:
    """Lightning's message under the key of the argument that it mentions first, if it mentions one."""
    line = message.strip().splitlines()[0]
    mentioned = [name for name in arguments if name in line.lower()]
    if not mentioned:
        return ConfigError(f"trainer: {line}")
    name = min(mentioned, key=line.lower().index)
    return ConfigError(f"trainer.{name}={arguments[name]}: {line}")


def _callbacks(nodes: Any) -> list[Any]:
    """Callbacks from a list of nodes, or from nodes by name as Hydra composes them more easily."""
    if not nodes:
        return []
    pairs = nodes.items() if hasattr(nodes, "items") else enumerate(nodes)
    return [instantiate(f"trainer.callbacks.{key}", node) for key, node in pairs if node is not None]
