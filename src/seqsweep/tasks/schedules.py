"""Learning-rate schedules that PyTorch does not have, and how all of them are stepped."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR

from seqsweep import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

DECAYS: dict[str, Callable[[float], float]] = {
    "none": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
}
"""The share of the learning rate that is left when a share of what follows the warm-up is done."""


class WarmUp(LambdaLR):
    """The learning rate rises evenly to the optimiser's over the first steps, then falls (or stays).

    Args:
        optimizer: whose learning rate it is.
        total_steps: optimiser steps of the run.
        share: of the steps, to rise in (Vaswani et al. 2017 and most since rise over the first few per cent).
        decay: ``none``, ``linear`` or ``cosine``, down to 0 at the last step.

    Raises:
        ConfigError: an argument is out of its range.

    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, share: float = 0.1, decay: str = "linear"
    ) -> None:
        rise = max(1, round(checks.probability("share", share) * total_steps))
        fall = DECAYS[checks.one_of("decay", decay, DECAYS)]

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / (rise + 1)
            return fall(min(1.0, (step - rise) / max(1, total_steps - rise)))

        super().__init__(optimizer, factor)


def takes_steps(factory: Callable[..., LRScheduler]) -> bool:
    """Whether what it makes wants to know the run's number of steps, and to be stepped at each of them.

    One that was given ``total_steps`` already is one's own affair.
    """
    given = getattr(factory, "keywords", {})
    return "total_steps" in inspect.signature(factory).parameters and given.get("total_steps") is None


def make_schedule(factory: Callable[..., LRScheduler], optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """The schedule, told the run's number of steps if it wants to know."""
    return factory(optimizer, total_steps=total_steps) if takes_steps(factory) else factory(optimizer)
