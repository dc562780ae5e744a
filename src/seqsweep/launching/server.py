"""What the warm server imports first, so that its end is a quick one.

Taking the libraries down that it has loaded would take it seconds, in which
whoever reads the driver's output waits on: the server holds it open, too.
"""

from __future__ import annotations

import atexit
import os
import sys


def _leave(server: int) -> None:
    if os.getpid() == server:  # and not one of those that it has forked
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    atexit.register(_leave, os.getpid())
