"""Baselines: what forecasts without a network reach, so that a network's error can be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seqsweep.data import Examples

MOST_WINDOWS = 100_000
"""Windows that are enough to fit to; of more, so many are taken, evenly spread."""
AT_ONCE = 4096


class LinearMap:
    """A linear map from a target's own context to its horizon, the same for every target.

    Args:
        weights: (context + 1) x horizon, the constant last.

    """

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    @classmethod
    def fit(cls, examples: Examples, columns: Sequence[int]) -> LinearMap:
        """Least squares over the windows of `examples`, whose targets are the inputs' `columns`.

        Sums of products are kept in place of the windows, so that memory does not grow with them.
        """
        count = min(len(examples), MOST_WINDOWS)
        products: Tensor | float = 0.0  # (context + 1) x (context + 1)
        answers: Tensor | float = 0.0  # (context + 1) x horizon
        for index in torch.split(torch.linspace(0, len(examples) - 1, count).long(), AT_ONCE):
            batch = examples.cut(index)
            known = _with_constant(batch.inputs[..., list(columns)].double()).flatten(0, 1)
            products = products + known.T @ known
            answers = answers + known.T @ batch.targets.double().transpose(1, 2).flatten(0, 1)
        assert isinstance(products, torch.Tensor)
        assert isinstance(answers, torch.Tensor)
        return cls(torch.linalg.lstsq(products, answers, driver="gelsd").solution)

    def __call__(self, context: Tensor) -> Tensor:
        """Forecasts, batch x horizon x targets, from batch x context x targets."""
        return (_with_constant(context) @ self.weights.to(context)).transpose(1, 2)


def _with_constant(context: Tensor) -> Tensor:
    """Batch x targets x (context + 1) of batch x context x targets, the last number always 1."""
    return F.pad(context.transpose(1, 2), (0, 1), value=1.0)
