"""How much memory a job has taken, of the machine and of its device, and giving it back."""

from __future__ import annotations

import gc
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

MOST_OUTSIDE = 1 << 30
"""More than a process holds on a device beside torch's own pool: CUDA's context and its kernels."""


@dataclass(frozen=True)
class Used:
    """The most that a job has held, in bytes; of the device 0 where it used none."""

    resident: int
    on_device: int = 0
    of_device: int = 0
    """All that the device has."""


def used() -> Used:
    """What this process has held since it began, or since `release`."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident *= 1 if sys.platform == "darwin" else 1024
    if cuda := _cuda():
        with suppress(RuntimeError):  # a device that has failed answers nothing
            free, total = cuda.mem_get_info()
            # Neighbours on the device count into what is taken, so not all of it is believed to be ours.
            outside = min(max(total - free - cuda.memory_reserved(), 0), MOST_OUTSIDE)
            return Used(resident, cuda.max_memory_reserved() + outside, total)
    return Used(resident)


def release() -> None:
    """Give back what nothing refers to, and begin anew to look for the most. Raises what CUDA raises."""
    gc.collect()
    if cuda := _cuda():
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the resident size


def _cuda() -> ModuleType | None:
    """torch.cuda, where it is in use."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
