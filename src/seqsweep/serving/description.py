"""Description: what MLflow has to know of a run's model, without PyTorch.

It is made where the run can be read (`seqsweep.serving.describing`) and used where MLflow is
(`seqsweep.serving.publishing`): in a study the first is a worker and the second the driver, so that
neither has to import what the other has imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FILES = ("config.yaml", "data.json", "best.ckpt")
"""All that a model holds of its run, by name in the run's folder; `seqsweep.training.folder` writes them."""


@dataclass(frozen=True)
class Array:
    """An array in place of columns; -1 stands for any number."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Parameter:
    """What a request may set beside its rows."""

    type: str
    default: Any


Columns = Mapping[str, str]
"""Types by name."""


@dataclass(frozen=True)
class Description:
    """Of one run."""

    inputs: Columns | Array
    outputs: Columns | Array
    parameters: Mapping[str, Parameter]
    example: Any
    """A small request, a table or an array; None where the data's files are gone."""
    requirements: tuple[str, ...]
    """Pip's, pinned to what is installed."""
