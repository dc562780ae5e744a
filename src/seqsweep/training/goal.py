"""Goal: what a run is judged by, and what else is wanted of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seqsweep import checks
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seqsweep.tasks import Task

DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Goal:
    """The metric that decides which validation is the best one.

    `also` are further objectives, whose values are taken at that validation.
    `test` says whether the best checkpoint is tested at the end, `report` whether
    each validation's value is handed to the context, which may answer stop. A report
    is `binding` if it is kept where the run is killed, so that the checkpoint has to
    be there first: a study's are, a line in a terminal is not.
    """

    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"
    also: tuple[str, ...] = ()
    test: bool = True
    report: bool = True
    binding: bool = True

    def __post_init__(self) -> None:
        checks.one_of("direction", self.direction, DIRECTIONS)
        object.__setattr__(self, "also", tuple(self.also))  # a list where it comes from a configuration

    @classmethod
    def of(cls, task: Task | type[Task]) -> Goal:
        """What the task itself goes by."""
        metric, direction = task.monitor
        return cls(metric, direction)

    @property
    def metrics(self) -> tuple[str, ...]:
        """All objectives, the deciding one first."""
        return (self.metric, *self.also)

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` is better than the best so far, None if there is none; not-a-number never is."""
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value < than if self.direction == "minimize" else value > than


def check_metrics(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError if the task does not log a metric that is wanted."""
    names = list(known)
    for metric in wanted:
        if metric not in names:
            raise ConfigError(
                f"metric={metric}: the task logs {', '.join(names)}{checks.nearest(metric, names)}"
            )
