"""What every model has in common: it is built from a DataSpec and draws its own masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from torch import nn

from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from seqsweep.spec import DataSpec


class SequenceBatch(Protocol):
    """The part of a batch that a model looks at (`seqsweep.data.Batch` has it)."""

    @property
    def inputs(self) -> Tensor:
        """Batch x time x input_size, or batch x time of tokens."""

    @property
    def lengths(self) -> Tensor | None:
        """Batch: true steps of each input, each at least 1; None if all are full."""

    @property
    def targets(self) -> Tensor:
        """batch, or batch x target time."""


class Model(nn.Module, ABC):
    """A network whose randomness comes from outside.

    `forward` draws nothing: what dropout needs is drawn by `draw_masks` from the
    trial's own generator and passed in, so a trial gives the same result alone,
    beside others or in a stack of trials.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def draw_masks(self, batch: SequenceBatch, generator: torch.Generator) -> Any:
        """All random draws of one training step on `batch`, as `forward` takes them.

        A nest of tensors on the generator's device, or None if the model draws nothing.
        """


def boolean(name: str, value: object) -> bool:
    """`value`, which must be true or false. Raises ConfigError otherwise."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value}: expected true or false")
    return value
