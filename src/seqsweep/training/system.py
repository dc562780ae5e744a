"""What a run uses of its machine while it trains, sampled now and then beside the training thread."""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seqsweep import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from seqsweep.tracking import Tracker

FIRST, INTERVAL = 3.0, 10.0
"""Seconds to the first sample, and from each to the next."""
_MEGABYTE = 1e6
_STATM = Path("/proc/self/statm")

Reading = dict[str, float]


def watching(
    wanted: bool, tracker: Tracker, directory: Path, device: torch.device
) -> AbstractContextManager[object]:
    """`SystemMetrics`, or nothing."""
    return SystemMetrics(tracker, directory, device) if wanted else nullcontext()


class SystemMetrics:
    """Records ``system/...`` while its body runs: this process's and its own device's, no others'.

    The step is the seconds since the run first began. The end is sampled too, so that the shortest run
    has a sample.
    """

    def __init__(self, tracker: Tracker, directory: Path, device: torch.device) -> None:
        self._tracker = tracker
        self._began = _began(directory)
        self._device = _device_reader(device)
        self._sampled = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample_often, name="seqsweep-system", daemon=True)

    def __enter__(self) -> SystemMetrics:
        """Begin to sample."""
        self._last = time.perf_counter(), time.process_time()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()
        if not self._sampled or time.perf_counter() - self._last[0] >= FIRST:
            self._sample()

    def _sample_often(self) -> None:
        pause = FIRST
        while not self._ended.wait(pause):
            self._sample()
            pause = INTERVAL

    def _sample(self) -> None:
        self._sampled = True
        (then, used), now = self._last, (time.perf_counter(), time.process_time())
        self._last = now
        values = {
            "system/cpu_utilization_percentage": 100 * (now[1] - used) / max(now[0] - then, 1e-9),
            "system/process_memory_megabytes": _resident() / _MEGABYTE,
            **self._device(),
        }
        self._tracker.log_metrics(values, int(time.time() - self._began))


def _began(directory: Path) -> float:
    """When the first attempt at the run in `directory` began, in seconds since 1970."""
    file = directory / paths.STATE / "began"
    with suppress(OSError, ValueError):
        return float(file.read_text())
    now = time.time()
    file.parent.mkdir(exist_ok=True)
    file.write_text(str(now))
    return now


def _resident() -> int:
    """Bytes of memory that this process holds; where that is not known, the most that it held."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _device_reader(device: torch.device) -> Callable[[], Reading]:
    """What asks NVIDIA's library about the device; nothing without a GPU or without ``nvidia-ml-py``."""
    if device.type != "cuda":
        return dict
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception:  # not installed, a driver of another version, a part of a GPU: nothing to fail for
        return dict
    return lambda: _gpu(pynvml, handle)


def _gpu(nvml: Any, handle: object) -> Reading:
    asked: Mapping[str, Callable[[], float]] = {
        "system/gpu_utilization_percentage": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "system/gpu_memory_usage_megabytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / _MEGABYTE,
        "system/gpu_power_usage_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }
    found = {}
    for name, ask in asked.items():
        with suppress(nvml.NVMLError):  # of a part of a GPU not all of it is known
            found[name] = float(ask())
    return found
