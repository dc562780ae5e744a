"""Leaving a process without taking apart what it has loaded.

With MLflow or PyTorch in it that takes a second or two, in which whoever typed the
command, or reads its output, waits for nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable


def leave_at_once(status: Callable[[], int]) -> None:
    """From here on this process, but none that it forks, ends as soon as it has nothing more to do.

    Threads are waited for as ever, and what was registered with `atexit` later than this still runs.

    Args:
        status: asked for the exit status at the end.

    """
    atexit.register(_leave, os.getpid(), status)


def _leave(process: int, status: Callable[[], int]) -> None:
    if os.getpid() != process:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(status())
