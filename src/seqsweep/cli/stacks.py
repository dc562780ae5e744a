"""``hydra.launcher.stack``: how many trials may be trained as one, and which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from seqsweep.checks import positive_int
from seqsweep.errors import ConfigError
from seqsweep.protocol import Executor, Job, Stacking
from seqsweep.stacking import plan

if TYPE_CHECKING:
    from omegaconf import DictConfig

ENOUGH = 4
"""So many trials of which no two can be trained as one are worth a word."""


def stack_size(launcher: DictConfig, stacks: bool) -> int:
    """Seats of a slot; `stacks`: whether the jobs are trials of a study of seqsweep's own tasks.

    Raises ConfigError for what cannot be.
    """
    size = positive_int("hydra.launcher.stack", launcher.stack)
    if size == 1:
        return 1
    if not stacks:
        raise ConfigError(
            f"hydra.launcher.stack={size}: expected 1: only trials of a study (seqsweep sweep NAME) of "
            "seqsweep's own tasks are trained as one"
        )
    refused = {
        "devices_per_trial": launcher.devices_per_trial > 1,
        "workers_per_device": launcher.workers_per_device == "auto",  # it goes by one trial's memory
    }
    for key, is_refused in refused.items():
        if is_refused:
            raise ConfigError(
                f"hydra.launcher.stack={size}: expected 1 with hydra.launcher.{key}={launcher[key]}"
            )
    return size


class Stacks:
    """Says of each trial's job with which others it may run as one."""

    def __init__(self, executor: Executor, say: Callable[[str], None]) -> None:
        slot = executor.slots()[0]
        self._wanted = slot.seats > 1
        self._cpu = not slot.devices
        self._say = say
        self._said: set[str] = set()
        self._first: dict[int, str] = {}
        """The keys of the first trials that may share a stack, by their numbers."""

    def seated(self, job: Job) -> Job:
        """`job` with its stack, if there are seats and it can have one; why not is said once a reason."""
        if not self._wanted:
            return job
        verdict = plan.verdict(job.payload["config"], cpu=self._cpu)
        if verdict.key is not None:
            self._look(job.trial, verdict.key)
            return replace(job, stack=Stacking(plan.ENTRY, verdict.key))
        if verdict.reason not in self._said:
            self._said.add(str(verdict.reason))
            self._say(f"trial {job.trial} runs alone: {verdict.reason}")
        return job

    def _look(self, trial: int, key: str) -> None:
        """Say what keeps trials apart, if no two of the first ones are alike."""
        if len(self._first) == ENOUGH:
            return
        self._first[trial] = key
        if len(self._first) == len(set(self._first.values())) == ENOUGH:
            numbers = ", ".join(map(str, self._first))
            keys = ", ".join(plan.apart(self._first.values()))
            self._say(f"no two of trials {numbers} can be trained as one: they differ in {keys}")
