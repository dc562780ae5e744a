"""What executors run: each entry is called as ``entry(payload, context)`` and returns an Outcome.

A mistake in the configuration or the data comes back as ``Failed(text, usage=True)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from seqsweep.errors import UsageError
from seqsweep.protocol import Complete, Failed, Outcome
from seqsweep.tracking import Spool
from seqsweep.training import building, folder, running
from seqsweep.training.goal import Goal, check_metrics
from seqsweep.training.outcomes import outcome_of
from seqsweep.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seqsweep.protocol import JobContext


Result = TypeVar("Result")


def run(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """Train one trial, recording into a spool in the context's directory.

    Args:
        payload: ``config``; and ``goal``, the arguments of `Goal`, if not the task's own.
        context: the job's side of the executor.

    """
    return guarded(lambda: _run(payload, context), context)


def test(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """Test the best checkpoint in the context's directory, recording into the same spool.

    Args:
        payload: ``config``.
        context: the job's side of the executor.

    Returns:
        Complete, its detail the metrics by name.

    """
    return guarded(lambda: _test(payload, context), context)


def check(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """Build each configuration, train nothing and write nothing.

    Args:
        payload: ``configs``, a list; and ``metrics``, the names that each one's task must log.
        context: not used.

    Returns:
        Complete, its detail the names of the metrics that the task of the last one logs.

    """
    return guarded(lambda: _check(payload))


def _run(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    built = building.build(payload["config"])
    goal = Goal(**payload["goal"]) if payload.get("goal") else Goal.of(built.task)
    check_metrics(goal.metrics, built.task.metrics)
    spool = Spool(context.directory)
    try:
        return running.train(built, context=context, tracker=spool, goal=goal)
    finally:
        spool.close()


def _test(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    built = building.build(payload["config"])
    spool = Spool(context.directory)
    try:
        return Complete(detail=running.test(built, directory=context.directory, tracker=spool))
    finally:
        spool.close()


def _check(payload: Mapping[str, Any]) -> Outcome:
    names: list[str] = []
    for config in payload["configs"]:
        names = list(building.build(config).task.metrics)
        check_metrics(payload.get("metrics", ()), names)
    return Complete(detail=names)


def guarded(body: Callable[[], Result], context: JobContext | None = None) -> Result | Outcome:
    """What the body returns, or the outcome that stands for what it raised."""
    try:
        with quiet():
            return body()
    except UsageError as error:
        return Failed(str(error), usage=True)
    except Exception as error:
        if context is not None:
            folder.write_error(context.directory, error)
        return outcome_of(error)
