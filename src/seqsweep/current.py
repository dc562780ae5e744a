"""The job this process is running, if any: how code far from the executor reports to its study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from seqsweep.errors import TrialPruned
from seqsweep.protocol import JobContext

_current: ContextVar[JobContext | None] = ContextVar("seqsweep_job", default=None)


@contextmanager
def running(context: JobContext) -> Iterator[None]:
    """While `context`'s job runs in this thread."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def in_study() -> bool:
    """Whether there is anyone to report to."""
    return _current.get() is not None


def report(value: float, step: int) -> None:
    """Hand an intermediate value of the objective to the study that runs this trial.

    Outside a study it does nothing, so the call may stay in a training loop.

    Args:
        value: the objective so far; not-a-number is never good.
        step: the training step or epoch it belongs to.

    Raises:
        TrialPruned: the pruner says stop. Let it pass.
    """
    context = _current.get()
    if context is not None and not context.report(float(value), int(step)):
        raise TrialPruned(f"stopped at step {step}")
