"""From an exception to the Outcome that a study is told."""

from __future__ import annotations

import torch

from seqsweep.errors import UsageError
from seqsweep.protocol import Failed, Infeasible, Interrupted, JobContext, Outcome

NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What a RuntimeError for lack of memory says; torch's allocator for the processor raises such."""
NO_VALIDATION = "no validation was run, so there is no result"
"""Why a run that came to its end has failed."""


class Stop(Exception):
    """Raised inside the fit to leave it with `outcome`."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class NotANumber(Exception):
    """A loss or the goal's metric is not finite. `first` says that no validation was finite before."""

    def __init__(self, what: str, epoch: int, first: bool) -> None:
        super().__init__(f"{what} is not a finite number after epoch {epoch}")
        self.first = first


def outcome_of(error: BaseException) -> Outcome:
    """Infeasible for what the configuration cannot help, else Failed with the error's last line."""
    if isinstance(error, UsageError):
        return Failed(str(error), usage=True)
    if isinstance(error, NotANumber) and error.first:
        return Infeasible(str(error))
    if out_of_memory(error):
        return Infeasible(f"out of memory: {_last_line(error)}", memory=True)
    return Failed(str(error) if isinstance(error, NotANumber) else _last_line(error))


def settled(outcome: Outcome, context: JobContext) -> Outcome:
    """The outcome, once all that was reported is stored; Interrupted where that will not be heard of.

    An outcome that is put down closes the trial: nobody would hand those values in again.
    """
    return outcome if isinstance(outcome, Interrupted) or context.settle() else Interrupted()


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory, the device's or the machine's, was not enough."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in NO_MEMORY)


def _last_line(error: BaseException) -> str:
    """The error's type and the last line of its message."""
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[-1]}" if lines else name
