"""Calling a job's entry and turning whatever comes of it into an Outcome."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqsweep import current
from seqsweep.errors import SeqsweepError, TrialPruned, UsageError
from seqsweep.protocol import Complete, Failed, Infeasible, Interrupted, Job, JobContext, Outcome, Pruned


def resolve(entry: str | Callable[..., Outcome]) -> Callable[..., Outcome]:
    """The callable that `entry` names as ``module:function``."""
    if callable(entry):
        return entry
    module, _, name = entry.partition(":")
    function: Callable[..., Outcome] = getattr(importlib.import_module(module), name)
    return function


def call(job: Job, context: JobContext) -> Outcome:
    """Run the job to its outcome; nothing but a killed process escapes as anything else."""
    try:
        with current.running(context):
            outcome: Any = resolve(job.entry)(job.payload, context)
    except TrialPruned:
        # A report is also answered with stop where the driver stops or is gone.
        return Interrupted() if context.interrupted else Pruned()
    except MemoryError as error:
        return Infeasible(_line(error), memory=True)
    except SeqsweepError as error:
        return Failed(str(error), usage=isinstance(error, UsageError))
    except BaseException as error:  # a job's sys.exit() is a failed job, not ours
        _keep_traceback(Path(job.directory))
        return Failed(_line(error))
    if isinstance(outcome, Complete | Pruned | Failed | Infeasible | Interrupted):
        return outcome
    return Failed(f"the job's entry returned {outcome!r}: expected an Outcome")


def _line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _keep_traceback(directory: Path) -> None:
    if directory.is_dir():
        (directory / "error.txt").write_text(traceback.format_exc())
