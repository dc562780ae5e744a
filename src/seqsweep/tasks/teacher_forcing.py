"""Scheduled sampling: how often training feeds the true token, as training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

STEEPNESS = 10.0


def _linear(progress: float) -> float:
    return 1 - progress


def _inverse_sigmoid(progress: float) -> float:
    """K / (k + exp(i / k)), moved and stretched to fall from 1 at the first step to 0 at the last."""

    def curve(place: float) -> float:
        return 1 / (1 + math.exp(STEEPNESS * (place - 0.5)))

    return (curve(progress) - curve(1)) / (curve(0) - curve(1))


FALLS: dict[str, Callable[[float], float]] = {"linear": _linear, "inverse_sigmoid": _inverse_sigmoid}
SCHEDULES = (*FALLS, "exponential")


@dataclass(frozen=True)
class TeacherForcing:
    """The probability of the true token, from `start` to `end` (Bengio et al. 2015, section 2.4).

    Raises:
        ConfigError: one of the three is wrong.

    """

    start: float = 1.0
    end: float | None = None
    """None means that it stays as it was at the start."""
    schedule: str = "linear"
    """``linear``, ``exponential`` or ``inverse_sigmoid``."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        _share("teacher_forcing", self.start)
        checks.one_of("teacher_forcing_schedule", self.schedule, SCHEDULES)
        if self.end is not None:
            _share("teacher_forcing_end", self.end)
        elif self.schedule != "linear":
            raise ConfigError(
                f"teacher_forcing_schedule={self.schedule}: expected linear, the default, with "
                "teacher_forcing_end=null, which means no schedule"
            )
        if self.schedule == "exponential" and not (self.start and self.end):
            raise ConfigError(
                f"teacher_forcing_end={self.end}: expected a number above 0, as the start has to be, "
                "since an exponential never comes to 0"
            )

    def at(self, progress: float) -> float:
        """The probability when a share `progress` of training is done, from 0 to 1."""
        if self.end is None:
            return self.start
        progress = min(progress, 1.0)
        if self.schedule == "exponential":
            return float(self.start * (self.end / self.start) ** progress)
        return self.end + (self.start - self.end) * FALLS[self.schedule](progress)


def _share(name: str, value: object) -> None:
    """Refuse what is not a number from 0 to 1, both included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name}={value}: expected a number from 0 to 1")
