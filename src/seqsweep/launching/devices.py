"""Which accelerators and how many cores this process may use, found without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess


def find_devices() -> tuple[str, ...]:
    """Values for ``CUDA_VISIBLE_DEVICES``, one an accelerator; empty without GPUs.

    A ``CUDA_VISIBLE_DEVICES`` that is already set is kept as it is: indices, UUIDs
    and MIG ids are all the same to us, and an empty one means no GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA itself ignores everything from the first invalid entry on.
        return tuple(names[: names.index("-1")] if "-1" in names else filter(None, names))
    return parse_listing(_list_gpus())


def count_cores() -> int:
    """Processor cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_listing(text: str) -> tuple[str, ...]:
    """Values for ``CUDA_VISIBLE_DEVICES`` from the output of ``nvidia-smi -L``.

    A GPU that is divided into MIG instances stands for these. Next to such a one the
    others go by their UUIDs too, since CUDA may count differently.
    """
    gpus: dict[str, list[str]] = {}
    for line in text.splitlines():
        uuid = line.partition("(UUID: ")[2].rstrip(" )")
        if line.startswith("GPU "):
            gpus[uuid] = []
        elif gpus and uuid.startswith("MIG-"):
            gpus[next(reversed(gpus))].append(uuid)
    if not any(gpus.values()):
        return tuple(map(str, range(len(gpus))))
    return tuple(name for gpu, instances in gpus.items() for name in instances or [gpu])


def _list_gpus() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return listed.stdout
