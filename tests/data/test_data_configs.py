"""The files of conf/data say what the constructors say, all of it, and show their command."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seqsweep import paths
from seqsweep.data import SequenceData

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted((paths.shipped("conf") / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_config_names_every_argument_with_its_default(path: Path) -> None:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    (override,) = config.pop("defaults")
    assert list(override) == ["override /task@_global_.task"]
    module, _, name = config.pop("_target_").rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    assert issubclass(kind, SequenceData)
    assert config.pop("seed") == "${seed}"
    parameters = inspect.signature(kind).parameters
    defaults = {name: p.default for name, p in parameters.items() if name != "seed"}
    if config.get("dataset") is None:
        assert config == defaults
    else:  # a named set has options of its own
        assert set(config) == set(defaults)
    if config.get("train", "") is not None:  # else the user is to name a file
        kind(**config)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configs_header_shows_the_command_that_uses_it(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any("seqsweep train model=" in line and f"data={path.stem}" in line for line in header)
