"""Jobs for the engine's benchmark, apart from it so that a worker imports next to nothing."""

from __future__ import annotations

import time
from typing import Any

from seqsweep.protocol import Complete, JobContext, Outcome


def sleep(payload: float, context: JobContext) -> Outcome:
    """A job whose only work is to take its time."""
    time.sleep(payload)
    return Complete((payload,))


def nothing(payload: Any, context: JobContext) -> Outcome:
    """A job that returns at once."""
    return Complete((0.0,))
