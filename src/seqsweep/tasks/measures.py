"""Measures that torchmetrics does not have, or not as it should be."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.utilities import dim_zero_cat


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


class AUROC(MulticlassAUROC):
    """The mean over classes of the area under the ROC curve, of each class against the others.

    The area is the share of the pairs (example, other) that the class's probability puts in order, a tie
    counting half (Mann & Whitney 1947). Classes without examples, or without others, are left out;
    not-a-number if that leaves none. (torchmetrics takes their area for 0, and warns.)
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, average=None, validate_args=False)

    def compute(self) -> Tensor:  # type: ignore[override]
        """The area so far."""
        probabilities, targets = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        of_class = [(column, targets == label) for label, column in enumerate(probabilities.T)]
        return torch.stack([_in_order(column[own], column[~own]) for column, own in of_class]).nanmean()


def _in_order(high: Tensor, low: Tensor) -> Tensor:
    """The share of the pairs of a `high` with a `low` one that are in order; not-a-number without pairs."""
    low = low.sort().values
    below, not_above = (torch.searchsorted(low, high, right=ties).sum() for ties in (False, True))
    return (below + not_above) / (2 * len(high) * len(low))
