"""What the warm server imports first, so that its imports take less time, and its end none.

Whoever reads the driver's output would wait for that end, since the server holds the output open, too.
"""

from __future__ import annotations

import gc
import sys

from seqsweep.leaving import leave_at_once

if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    leave_at_once(lambda: 0)
    gc.disable()  # all it makes is there to stay; its workers collect
