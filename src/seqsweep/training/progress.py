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
    """Whether that value has been handed in."""
    earlier: tuple[float, int] | None = None
    """What a job that does not ask has handed in last: it may not be stored yet."""
    again: tuple[float, int] | None = None
    """The same of the attempt before this one."""
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
        """Whether a validation's value is still to be handed in."""
        return goal.report and self.value is not None and (not self.reported or self.again is not None)

    def hand_in(self, context: JobContext) -> Outcome | None:
        """Hand in what is due; the outcome that the answer amounts to, if it is no."""
        assert self.value is not None
        latest = self.value, self.step
        due = [] if self.again is None else [self.again]
        due += [] if self.reported else [latest]
        for value, step in due:
            if not context.report(value, step):
                # The answer is no as well where the driver stops, or is gone.
                return Interrupted() if context.interrupted else Pruned(self.best)
        self.earlier, self.again, self.reported = None if context.asks else latest, None, True
        return None

    def exhausted(self, patience: int | None) -> bool:
        """Whether so many validations have gone by without a better one."""
        return patience is not None and self.stale >= patience

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of `state_dict`."""
        return cls(**state | {"again": state.get("earlier")})
