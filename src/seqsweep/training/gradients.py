"""How far back through a sequence the gradient reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from seqsweep.errors import ConfigError
from seqsweep.models import RecurrentModel
from seqsweep.models.layers import watching

if TYPE_CHECKING:
    from torch import Tensor

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.tasks import Task


def gradient_flow(task: Task, batch: Batch) -> np.ndarray:
    """The norm of the loss's gradient at what enters each layer, by its distance from the sequence's end.

    An example's loss alone is differentiated, and the norms are means over the
    examples that are long enough. Where the gradient vanishes with the distance, the
    network cannot learn what happened that long ago (Bengio et al. 1994).

    Args:
        task: with a `seqsweep.models.RecurrentModel`.
        batch: a few examples.

    Returns:
        (layers, steps), the last true step first.

    Raises:
        ConfigError: the model is of another kind.

    """
    model = check_flows(task.model)
    batch = batch.to(next(model.parameters()).device)
    with torch.enable_grad(), watching(model.recurrent) as entered:
        loss, _, _ = task.loss(*task.tensors(), batch, None, None)
        gradients = torch.autograd.grad(loss * len(batch), entered)
    return np.stack([_by_distance(gradient, batch) for gradient in gradients])


def check_flows(model: Model) -> RecurrentModel:
    """`model`, whose gradient's way can be drawn. Raises ConfigError for others."""
    if not isinstance(model, RecurrentModel):
        raise ConfigError(
            "tracking.gradient_flow=true: expected false, since it is drawn for model=rnn, lstm, gru only"
        )
    return model


def _by_distance(gradient: Tensor, batch: Batch) -> np.ndarray:
    """Means over examples of (batch, time, features) norms, the last true step first."""
    # a task may read more steps than the batch's inputs have, none of them padding then
    whole = gradient.new_ones(gradient.shape[:2], dtype=torch.bool)
    mask = whole if batch.lengths is None else batch.mask
    steps = mask.shape[1]
    distance = mask.sum(dim=1, keepdim=True) - 1 - torch.arange(steps, device=mask.device)  # batch x time
    norms = gradient.norm(dim=-1)
    means = [norms[mask & (distance == back)].mean() for back in range(int(mask.sum(dim=1).max()))]
    return torch.stack(means).cpu().numpy()
