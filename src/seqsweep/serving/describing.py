"""Describing: what a run's files say of the model that can be made of them."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from seqsweep.serving.description import Description
from seqsweep.serving.kinds import form_for
from seqsweep.training import stored, trust
from seqsweep.training.instantiation import instantiate
from seqsweep.training.stored_config import stored_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from seqsweep.serving.form import Form
    from seqsweep.training.stored import Stored

REQUIRED = (
    *("seqsweep", "mlflow", "torch", "lightning", "torchmetrics"),
    *("hydra-core", "numpy", "pandas", "pyarrow", "scipy"),
)
"""What a server of it installs, at the versions that are here."""


def describe(directory: Path, *, allowed: Sequence[str] = (), trusted: bool = False) -> Description:
    """Of the run whose files are in `directory`.

    Args:
        directory: holds the run's files.
        allowed: classes that the configuration may name beside our own.
        trusted: whether the files are the user's own, so that it may name any.

    Raises:
        NoFormError: data of its kind cannot be asked for.
        ConfigError: as `stored.read` does.

    """
    run = stored.read(directory, allowed=_named(directory) if trusted else allowed)
    form = form_for(run.data())
    return Description(
        inputs=form.inputs,
        outputs=form.outputs,
        parameters=form.parameters(run.config["task"]),
        example=_example(form, run),
        requirements=tuple(_requirements(run.config)),
    )


def _requirements(config: Mapping[str, Any]) -> list[str]:
    subword = config["data"].get("level") == "subword"
    names = [*REQUIRED, *(["tokenizers"] if subword else [])]
    return [f"{name}=={found}" for name in names if (found := _version(name))]


def _named(directory: Path) -> list[str]:
    """The classes that the configuration in `directory` names."""
    config = stored_config(directory)
    return [str(name) for group in trust.BASES for name in _targets(config[group])]


def _targets(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
    if isinstance(node, dict | list):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _targets(part)


def _example(form: Form[Any], run: Stored) -> Any:
    """Of the run's own data; None where its files are gone."""
    try:
        return form.example(instantiate("data", run.config["data"]))
    except Exception as error:  # whatever it is, the model is whole without one
        print(f"seqsweep: the model has no input example: {error}", file=sys.stderr)
        return None


def _version(name: str) -> str | None:
    """The one that is installed, as an index has it: without what says how it was built."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
