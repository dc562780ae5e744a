"""Measures that torchmetrics does not have, or not as it should be."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class Mean(Metric):
    """The weighted mean of what it is given; not-a-number makes it not-a-number.

    (torchmetrics' MeanMetric either drops such values or, with
    ``nan_strategy="disable"``, at version 1.9 the weights.)
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, values: Tensor, weight: float = 1.0) -> None:
        """Take in one value, or many of equal weight.

        Args:
            values: of any shape.
            weight: of each.

        """
        self.total += values.detach().sum() * weight
        self.weight += values.numel() * weight

    def compute(self) -> Tensor:
        """The mean so far."""
        return self.total / self.weight
