"""What executors run: each entry is called as ``entry(payload, context)`` and returns an Outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqsweep.errors import SeqsweepError, UsageError
from seqsweep.protocol import Complete, Failed, Outcome
from seqsweep.serving.kinds import form_for
from seqsweep.serving.publishing import publish as published
from seqsweep.training import jobs
from seqsweep.training.instantiation import instantiate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seqsweep.protocol import JobContext


def publish(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """Log the model of the trial in the context's directory.

    Args:
        payload: the arguments of `seqsweep.serving.publishing.publish` besides the folder.
        context: the job's side of the executor.

    Returns:
        Complete, its detail the model's address, or why there is none, unless it was to be registered.

    """
    try:
        return Complete(detail=str(published(directory=context.directory, trusted=True, **payload)))
    except UsageError as error:
        if payload.get("register") is None:
            return Complete(detail=f"none ({error})")  # the study itself is whole
        return Failed(str(error))
    except SeqsweepError as error:
        return Failed(str(error))


def check(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """As `seqsweep.training.jobs.check`, and whether models of these configurations can be asked."""
    try:
        for config in payload["configs"]:
            form_for(instantiate("data", config["data"]))
    except SeqsweepError as error:
        return Failed(f"tracking.register: {error}", usage=True)
    return jobs.check(payload, context)
