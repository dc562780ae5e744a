"""Progress: what a run has reached so far, as plain data that a checkpoint carries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self


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

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of `state_dict`."""
        return cls(**state)
