"""Cross-entropy as all tasks with classes have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from seqsweep import checks
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seqsweep.spec import DataSpec

IGNORED = -100
"""A target that counts for nothing."""


def cross_entropy(
    logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """The mean over the true targets, each weighted by its class.

    It is a mean over targets, weights or not, so that the losses of a batch's parts
    have that of the whole for their mean.

    Args:
        logits: ... x classes.
        targets: ..., `IGNORED` where there is none.
        weights: (classes,); None for equal ones.
        smoothing: share of the target that goes to all classes evenly (Szegedy et al. 2016).

    """
    rows, flat = logits.flatten(0, -2), targets.flatten()
    if weights is None:  # then PyTorch's own mean is this one
        return F.cross_entropy(rows, flat, label_smoothing=smoothing, ignore_index=IGNORED)
    losses = F.cross_entropy(
        rows,
        flat,
        weight=weights,
        label_smoothing=smoothing,
        reduction="none",
        ignore_index=IGNORED,
    )
    return losses.sum() / (flat != IGNORED).sum()


def class_weights(choice: str | Sequence[float] | None, spec: DataSpec) -> Tensor | None:
    """The weights of `spec`'s classes that `choice` means: none, ``balanced``, or those given.

    ``balanced`` gives each class the same weight in all, with 1 on average over the training targets.

    Raises:
        ConfigError: it means nothing, or not so many weights as there are classes.

    """
    classes = spec.output_size
    if choice is None:
        return None
    if choice == "balanced":
        if not spec.class_counts:
            raise ConfigError(
                f"class_weights=balanced: '{spec.name}' does not say how frequent its classes are"
            )
        counts = torch.tensor(spec.class_counts, dtype=torch.float32)
        return counts.sum() / (counts.clamp(min=1) * classes)
    if isinstance(choice, str) or len(choice) != classes:
        raise ConfigError(
            f"class_weights={choice}: expected null, balanced, or a list of {classes} numbers, one a class"
        )
    return torch.tensor([checks.positive_float("class_weights", weight) for weight in choice])
