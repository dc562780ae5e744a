"""Objects from configuration nodes, with errors that name the key the user wrote."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import hydra.utils
from hydra.errors import InstantiationException

from seqsweep import checks
from seqsweep.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESERVED = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})


def instantiate(group: str, node: Mapping[str, Any], supplied: int = 0) -> Any:
    """What the node stands for, or with ``_partial_: true`` what makes it.

    Args:
        group: the node's key from the root of the configuration.
        node: holds ``_target_`` and its arguments.
        supplied: how many leading arguments the program will give, which the node may not.

    Raises:
        ConfigError: the target does not exist or refuses an argument; the message begins with the key.

    """
    target = _target(group, node)
    _check_names(group, node, target, supplied)
    try:
        # given apart, `_convert_` would be merged into one more copy
        return hydra.utils.instantiate({**node, "_convert_": "all"})
    except InstantiationException as error:
        raise _explained(group, error) from error


def complete(group: str, factory: Callable[..., Any], *arguments: Any) -> Any:
    """``factory(*arguments)`` for a factory from `instantiate`, with the same errors."""
    try:
        return factory(*arguments)
    except (ValueError, TypeError, UsageError) as error:
        raise _explained(group, error) from error


def resolve(key: str, name: str) -> Any:
    """What the full name means. Raises ConfigError, which begins with the key, if it means nothing."""
    try:
        return hydra.utils.get_object(name)
    except Exception as error:
        # an import can fail in any way; the last line says how
        reason = str(_root(error)).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"{key}={name}: expected the full name of a class: {reason[-1]}") from error


def _target(group: str, node: Mapping[str, Any]) -> Callable[..., Any]:
    name = node.get("_target_")
    found = resolve(f"{group}._target_", name) if isinstance(name, str) else None
    if not callable(found):
        raise ConfigError(f"{group}._target_={name}: expected the full name of a class")
    return found  # type: ignore[no-any-return]


def _check_names(group: str, node: Mapping[str, Any], target: Callable[..., Any], supplied: int) -> None:
    parameters = list(inspect.signature(target).parameters.values())[supplied:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for key, value in node.items():
        if key not in RESERVED and key not in known:
            takes = ", ".join(known) or "no arguments"
            raise ConfigError(
                f"{group}.{key}={value}: {target.__name__} takes {takes}{checks.nearest(str(key), known)}"
            )


def _explained(group: str, error: BaseException) -> UsageError:
    """`error` as one that names the key: a ConfigError's own key goes under the group's."""
    cause = _root(error)
    if isinstance(cause, ConfigError):
        return cause.under(group)
    if isinstance(cause, UsageError):
        return cause
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return ConfigError(f"{group}: {lines[0]}")


def _root(error: BaseException) -> BaseException:
    """The error that began it: Hydra wraps what a constructor raised."""
    while not isinstance(error, UsageError) and error.__cause__ is not None:
        error = error.__cause__
    return error
