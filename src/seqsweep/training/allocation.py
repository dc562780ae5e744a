"""The C library's allocator, told that what a step frees the next one will want."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 1 << 30


def keep_freed_memory() -> None:
    """Let large blocks that are freed stay with this process (glibc; elsewhere nothing happens).

    By default each block above a few megabytes is new at every step, and pays for its page faults.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(_MMAP_THRESHOLD, _LARGE)
            library.mallopt(_TRIM_THRESHOLD, _LARGE)
