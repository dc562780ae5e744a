"""Pooling: what the recurrent layers hand on at every step, as one vector a sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn

from seqsweep.models.layers import last_step

if TYPE_CHECKING:
    from torch import Tensor


class Pooling(nn.Module, ABC):
    """Base: one vector of the true steps' vectors.

    Args:
        size: of what one direction hands on at a step.
        directions: 1, or 2 if the sequence is read from its end as well.

    """

    def __init__(self, size: int, directions: int) -> None:
        super().__init__()
        self.size = size
        self.features = size * directions

    @abstractmethod
    def forward(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Pool.

        Args:
            outputs: batch x time x (directions * size).
            lengths: batch, each at least 1; None if no sequence is padded.

        Returns:
            batch x (directions * size).

        """


class Last(Pooling):
    """What each direction holds when it has read its whole sequence."""

    def forward(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The last true step of the forward direction, the first one of the backward one."""
        return last_step(outputs, lengths, self.size)


class Mean(Pooling):
    """The mean over the true steps."""

    def forward(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The mean."""
        if lengths is None:
            return outputs.mean(dim=1)
        true = _true(outputs, lengths).to(outputs.dtype)
        return (outputs * true).sum(dim=1) / lengths.unsqueeze(1).to(outputs.dtype)


class Max(Pooling):
    """The greatest value of each number over the true steps."""

    def forward(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The maximum."""
        return _masked(outputs, lengths).amax(dim=1)


class Attentive(Pooling):
    """The mean, weighted by what a step holds (Yang et al. 2016, eq. 5 to 7).

    ::

        u_t = tanh(W h_t + b)
        weight_t = softmax_t(u_t . v)
    """

    def __init__(self, size: int, directions: int) -> None:
        super().__init__(size, directions)
        self.key = nn.Linear(self.features, self.features)
        self.score = nn.Linear(self.features, 1, bias=False)

    def forward(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The weighted mean."""
        return (outputs * self.weights(outputs, lengths).unsqueeze(-1)).sum(dim=1)

    def weights(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """Batch x time: 0 at padding, each row with sum 1."""
        scores = self.score(torch.tanh(self.key(outputs)))  # batch x time x 1
        return _masked(scores, lengths).softmax(dim=1).squeeze(-1)


POOLINGS: dict[str, type[Pooling]] = {"last": Last, "mean": Mean, "max": Max, "attention": Attentive}
"""The forms a model can be asked for by name."""


def _true(outputs: Tensor, lengths: Tensor) -> Tensor:
    """Batch x time x 1: which steps are true."""
    time = torch.arange(outputs.shape[1], device=outputs.device)
    return (time < lengths.unsqueeze(1)).unsqueeze(-1)


def _masked(values: Tensor, lengths: Tensor | None) -> Tensor:
    """`values` (batch x time x any), minus infinity at padding."""
    return values if lengths is None else values.masked_fill(~_true(values, lengths), float("-inf"))
