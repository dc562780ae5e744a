"""Calling a job's entry and turning whatever comes of it into an Outcome."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqsweep import current
from seqsweep.errors import SeqsweepError, TrialPruned, UsageError
from seqsweep.protocol import Complete, Failed, Infeasible, Interrupted, Job, JobContext, Outcome, Pruned


def resolve(entry: str | Callable[..., Any]) -> Callable[..., Any]:
    """The callable that `entry` names as ``module:function``."""
    if callable(entry):
        return entry
    module, _, name = entry.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def outcomes(jobs: Sequence[Job], contexts: Sequence[JobContext]) -> Iterator[tuple[int, Outcome]]:
    """Run one job, or several of one stack; yields each one's place and outcome once, as it ends."""
    if jobs[0].stack is None:
        yield 0, call(jobs[0], contexts[0])
        return
    left = set(range(len(jobs)))
    problem: BaseException = ValueError("the stack ended without an outcome for this trial")
    try:
        members = resolve(jobs[0].stack.entry)([job.payload for job in jobs], list(contexts))
        for place, outcome in members:
            left.remove(place)
            yield place, _checked(outcome)
    except GeneratorExit:
        raise
    except BaseException as error:  # whatever it is, it is the end of those that are left
        problem = error
        traceback.print_exc()
    for place in sorted(left):
        yield place, _stands_for(problem, jobs[place], contexts[place])


def call(job: Job, context: JobContext) -> Outcome:
    """Run the job to its outcome; nothing but a killed process escapes as anything else."""
    try:
        with current.running(context):
            return _checked(resolve(job.entry)(job.payload, context))
    except BaseException as error:  # a job's sys.exit() is a failed job, not ours
        return _stands_for(error, job, context)


def _checked(outcome: Any) -> Outcome:
    if isinstance(outcome, Complete | Pruned | Failed | Infeasible | Interrupted):
        return outcome
    return Failed(f"the job's entry returned {outcome!r}: expected an Outcome")


def _stands_for(error: BaseException, job: Job, context: JobContext) -> Outcome:
    """The outcome of a job that ended by raising `error`."""
    if isinstance(error, TrialPruned):
        # A report is also answered with stop where the driver stops or is gone.
        return Interrupted() if context.interrupted else Pruned()
    if isinstance(error, MemoryError):
        return Infeasible(_line(error), memory=True)
    if isinstance(error, SeqsweepError):
        return Failed(str(error), usage=isinstance(error, UsageError))
    _keep_traceback(error, Path(job.directory))
    return Failed(_line(error))


def _line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _keep_traceback(error: BaseException, directory: Path) -> None:
    if directory.is_dir():
        (directory / "error.txt").write_text("".join(traceback.format_exception(error)))
