"""Hydra's and OmegaConf's errors in our words: the value given, what was expected, the nearest match."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from seqsweep.checks import nearest
from seqsweep.errors import ConfigError, StudyError, UsageError

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader


def user_folder(path: str) -> Path:
    """``--config-dir`` as an absolute path. Raises UsageError if it is not there."""
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"--config-dir {path}: there is no such folder")
    return folder


@contextmanager
def explained(loader: ConfigLoader) -> Iterator[None]:
    """Turns errors of composing the configuration into UsageErrors."""
    try:
        yield
    except MissingConfigException as error:
        raise _missing(error, loader) from None
    except OverrideParseException as error:
        raise ConfigError(
            f"'{error.override}' cannot be read: expected key=value ({_first(error)})"
        ) from None
    except (ConfigCompositionException, OmegaConfBaseException) as error:
        raise _composition(error, loader) from None
    except HydraException as error:
        raise ConfigError(_first(error)) from None
    except Exception as error:
        if not type(error).__module__.startswith("yaml"):
            raise
        raise StudyError(f"malformed YAML: {' '.join(str(error).split())}") from None


def _missing(error: MissingConfigException, loader: ConfigLoader) -> UsageError:
    name = error.missing_cfg_file or ""
    if "/" in name:
        group, _, option = name.rpartition("/")
        options = sorted(loader.get_group_options(group))
        if options:
            known = ", ".join(options)
            return ConfigError(f"{group}={option}: expected one of {known}{nearest(option, options)}")
        groups = sorted(loader.list_groups(""))
        return ConfigError(f"{group}={option}: there is no group '{group}'{nearest(group, groups)}")
    options = [
        option for option in loader.get_group_options("") if option != "train" and not option.startswith("_")
    ]
    return StudyError(
        f"study '{name}': there is no {name}.yaml in sweeps/ or --config-dir: "
        f"expected one of {', '.join(sorted(options))}{nearest(name, options)}"
    )


def _composition(error: Exception, loader: ConfigLoader) -> ConfigError:
    text = str(error)
    if found := re.search(r"Could not (?:override|append|delete).*?'([^']+)'", text):
        key = found.group(1).partition("=")[0].partition("@")[0]
        keys = _keys(loader, key)
        if key in keys and key.startswith("hydra.launcher."):
            return ConfigError(
                f"{key}: the launcher chosen has no such key: expected hydra/launcher=seqsweep"
            )
        return ConfigError(
            f"{key}: the configuration has no such key{nearest(key, keys)} "
            f"(seqsweep train --cfg job prints all; +{key}=... adds one)"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and isinstance(error.__cause__, OmegaConfBaseException):  # that says why
        lines = [lines[0].removeprefix("Error merging override "), _first(error.__cause__)]
    return ConfigError(": ".join(lines[:2]))


def _keys(loader: ConfigLoader, prefix: str) -> list[str]:
    """The dotted keys of the default configuration that begin like the one typed, and the groups."""
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    config = loader.load_configuration("train", ["hydra/sweeper=seqsweep"], RunMode.MULTIRUN)
    plain = OmegaConf.to_container(config, resolve=False)
    wanted = [key for key in _dotted(plain, "") if key.startswith("hydra.") == prefix.startswith("hydra.")]
    return [*wanted, *(group for group in loader.list_groups("") if group != "hydra")]


def _dotted(node: object, prefix: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _dotted(value, f"{prefix}{key}.")


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
