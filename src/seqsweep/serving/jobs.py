"""What executors run: each entry is called as ``entry(payload, context)`` and returns an Outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqsweep.errors import SeqsweepError
from seqsweep.protocol import Complete, Failed, Outcome
from seqsweep.serving import describing
from seqsweep.serving.kinds import form_for
from seqsweep.training import jobs
from seqsweep.training.instantiation import instantiate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seqsweep.protocol import JobContext


def describe(payload: None, context: JobContext) -> Outcome:
    """Describe the model of the trial in the context's directory.

    Args:
        payload: not used.
        context: the job's side of the executor.

    Returns:
        Complete, its detail a `seqsweep.serving.description.Description`; or Failed.

    """
    return jobs.guarded(lambda: Complete(detail=describing.describe(context.directory, trusted=True)))


def check(payload: Mapping[str, Any], context: JobContext) -> Outcome:
    """As `seqsweep.training.jobs.check`, and whether models of these configurations can be asked."""
    try:
        for config in payload["configs"]:
            form_for(instantiate("data", config["data"]))
    except SeqsweepError as error:
        return Failed(f"tracking.register: {error}", usage=True)
    return jobs.check(payload, context)
