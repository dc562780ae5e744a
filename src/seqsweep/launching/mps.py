"""Several workers on one GPU at the same moment: NVIDIA's Multi-Process Service, for the time of a sweep.

Without it a GPU gives its processes turns; with it their kernels run side by side. Its control daemon is
ours: its pipes and logs are in a temporary folder, and only workers are told where.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence

from seqsweep.errors import ConfigError

log = logging.getLogger(__name__)

PROGRAM = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"

START_TIME = 20.0
"""Seconds in which the daemon must be there."""

END_TIME = 10.0
"""Seconds that it is waited for at the end; if it needs longer, its keeper waits on."""

READY = "ready"

KEEPER = f"""
{PROGRAM} -d 2>&1 || exit 1
echo {READY}
exec >/dev/null 2>&1
cat >/dev/null
echo quit | {PROGRAM}
rm -rf "${PIPES}"
"""
"""Ends the daemon when the driver closes its end of a pipe, which the system does for one that is killed."""


class Mps:
    """The daemon, running; `environment` is what workers need to find it.

    Raises OSError, its text one line, if it cannot be started.
    """

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="seqsweep-mps-")  # short: there will be sockets in it
        self.environment: Mapping[str, str] = {PIPES: folder, LOGS: folder}
        # Restricted to some GPUs it would number these anew, and not as workers' CUDA_VISIBLE_DEVICES does.
        kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**kept, **self.environment},
            start_new_session=True,  # Ctrl-C is the driver's to answer
        )
        if (said := self._wait_until_ready()) is not None:
            self.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise OSError(said)

    def _wait_until_ready(self) -> str | None:
        """None once the daemon is there, else the last that was said."""
        assert self._keeper.stdout is not None
        timer = threading.Timer(START_TIME, self._kill)
        timer.start()
        last = "it said nothing"
        try:
            for line in self._keeper.stdout:
                if line.strip() == READY:
                    return None
                last = line.strip() or last
        finally:
            timer.cancel()
        return last

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._keeper.pid, signal.SIGKILL)

    def close(self) -> None:
        """Have the daemon end; its clients must have ended before."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with contextlib.suppress(OSError):
            self._keeper.stdin.close()
        self._keeper.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(END_TIME)


def open_mps(wanted: object, devices: Sequence[str], workers_per_device: int | str) -> Mps | None:
    """A daemon for the workers of these devices, if ``hydra.launcher.mps`` and they ask for one.

    One that the user has running (CUDA_MPS_PIPE_DIRECTORY is set) is used as it is, and left alone.

    Args:
        wanted: ``auto``, true or false; ``auto`` goes on without one where there can be none, and says so.
        devices: values of ``CUDA_VISIBLE_DEVICES``.
        workers_per_device: how many share one of them, or ``auto``.

    Raises:
        ConfigError: the value is none of these; or it is true, and there can be none.

    """
    if wanted not in ("auto", True, False):
        raise ConfigError(f"hydra.launcher.mps={wanted}: expected auto, true or false")
    if wanted is False or os.environ.get(PIPES):
        return None
    if (reason := _no_use(devices, workers_per_device)) is None:
        try:
            return Mps()
        except OSError as error:
            reason = f"{PROGRAM} cannot be started ({error})"
            if wanted == "auto":
                log.warning("workers take turns on their GPU: %s", reason)
    if wanted is True:
        raise ConfigError(f"hydra.launcher.mps=true: expected auto or false, since {reason}")
    return None


def _no_use(devices: Sequence[str], workers_per_device: int | str) -> str | None:
    """Why there is nothing for a daemon to do here, or no daemon."""
    if not devices:
        return "there is no GPU"
    if workers_per_device == 1:
        return "no two workers share a GPU: hydra.launcher.workers_per_device=1"
    if any(device.startswith("MIG") for device in devices):
        return "the GPUs are divided into MIG instances"
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM}, which comes with NVIDIA's driver, is not on the PATH"
    return None
