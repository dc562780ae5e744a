"""Progress: what a run has reached so far, as plain data that a checkpoint carries."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from seqsweep.protocol import Interrupted, Outcome, Pruned
from seqsweep.training.outcomes import NotANumber

if TYPE_CHECKING:
    from seqsweep.protocol import JobContext
    from seqsweep.training.goal import Goal


@dataclass
class Progress:
    """Where a run stands."""

    best: float | None = None
    """The goal's metric at the best validation so far."""
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    """All validation metrics at the best validation."""
    value: float | None = None
    """The goal's metric at the latest validation."""
    step: int = 0
    """Optimiser steps at the latest validation."""
    reported: bool = False
    """Whether that value has been handed in and answered."""
    stale: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Spent fitting, over all attempts."""

    def check(self, goal: Goal, means: dict[str, float], epoch: int) -> None:
        """Raise NotANumber if one of an epoch's means (counted from 1) that matter is none."""
        for name in ("train/loss", "val/loss", *goal.metrics):
            if name in means and not math.isfinite(means[name]):
                raise NotANumber(name, epoch, first=self.best is None)

    def judge(self, goal: Goal, means: dict[str, float], step: int) -> bool:
        """Take in a validation after `step` optimiser steps; returns whether it is the best so far."""
        self.value, self.step, self.reported = means[goal.metric], step, False
        improved = goal.better(self.value, self.best)
        self.stale = 0 if improved else self.stale + 1
        if improved:
            self.best, self.best_step = self.value, step
            self.best_metrics = {name: mean for name, mean in means.items() if name.startswith("val/")}
        return improved

    def due(self, goal: Goal) -> bool:
        """Whether the latest validation's value is still to be handed in."""
        return goal.report and self.value is not None and not self.reported

    def hand_in(self, context: JobContext) -> Outcome | None:
        """Hand in the latest validation's value; the outcome that the answer amounts to, if it is no."""
        assert self.value is not None
        if context.report(self.value, self.step):
            return None
        # The answer is no as well where the driver stops, or is gone.
        return Interrupted() if context.interrupted else Pruned(self.best)

    def exhausted(self, patience: int | None) -> bool:
        """Whether so many validations have gone by without a better one."""
        return patience is not None and self.stale >= patience

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of `state_dict`."""
        return cls(**state)
