"""The driver's answers to what a job reports."""

from __future__ import annotations

import queue
from collections.abc import Callable


class Answers:
    """Waited for at once, or, where a job does not ask, before its next report leaves.

    So that of one job no more than one report is on its way, however busy the driver is.

    Args:
        asks: as `seqsweep.protocol.Job.asks`.

    """

    def __init__(self, asks: bool) -> None:
        self._asks = asks
        self._open = False
        self._given: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def give(self, go: bool) -> None:
        """From another thread: the answer; or no, to wake the job."""
        self._given.put(go)

    def report(self, send: Callable[[], None]) -> bool:
        """Send a report; as `seqsweep.protocol.JobContext.report`."""
        if not self.settle():
            return False
        send()
        self._open = True
        return self.settle() if self._asks else True

    def settle(self) -> bool:
        """Wait for the answer to the latest report, if it has not been waited for."""
        if not self._open:
            return True
        self._open = False
        return self._given.get()
