"""What goes wrong inside a trial, for a Lightning callback or a function of its own to call."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

MEBIBYTE = 2**20


def nothing() -> None:
    """The fault is the caller's own."""


def raise_error() -> None:
    raise ValueError("told to fail")


def run_out_of_memory() -> None:
    """A resource limit, so that the allocator itself says no."""
    _limit_memory()
    if torch := sys.modules.get("torch"):
        torch.empty(2**34, dtype=torch.uint8)
    bytearray(2**34)


def hang() -> None:
    while True:
        time.sleep(60)


def hang_in_c() -> None:
    """The interpreter's lock is never given back: no other thread of the process runs."""
    ctypes.PyDLL(None).sleep(3600)


def segfault() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def kill_itself() -> None:
    """As the kernel does where the machine's memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave_python() -> None:
    sys.exit(3)


def leave_the_process() -> None:
    os._exit(0)


def leave_a_thread() -> None:
    threading.Thread(target=hang, name="left-running").start()


def leave_a_process() -> None:
    subprocess.Popen(["sleep", "3600"])


STRIKES: dict[str, Callable[[], None]] = {
    strike.__name__: strike
    for strike in (
        nothing,
        raise_error,
        run_out_of_memory,
        hang,
        hang_in_c,
        segfault,
        kill_itself,
        leave_python,
        leave_the_process,
        leave_a_thread,
        leave_a_process,
    )
}


def count(folder: Path, name: str) -> int:
    """How often the fault has struck in the trial of that folder."""
    mark = _mark(folder, name)
    return mark.stat().st_size if mark.is_file() else 0


def strike(folder: Path, name: str, what: str, times: int | None = None) -> None:
    """Let the fault strike, if it has not done so `times` already."""
    if times is not None and count(folder, name) >= times:
        return
    with _mark(folder, name).open("a") as mark:
        mark.write("x")
    STRIKES[what]()


def _mark(folder: Path, name: str) -> Path:
    return folder / f"struck-{name}"


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 256 * MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
