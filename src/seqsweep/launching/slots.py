"""Dividing devices and cores into slots."""

from __future__ import annotations

from collections.abc import Sequence

from seqsweep.checks import positive_int
from seqsweep.errors import ConfigError
from seqsweep.protocol import Slot


def make_slots(
    devices: Sequence[str], cores: int, workers: int | str = "auto", workers_per_device: int = 1
) -> list[Slot]:
    """One slot for each worker.

    With GPUs a device is shared by `workers_per_device` slots, and slots are dealt
    round the devices, so that fewer workers than devices spread out. Without GPUs
    there is one slot a core. The cores are divided among the workers.

    Raises ConfigError for a `workers` that is neither ``auto`` nor a positive integer.
    """
    share = positive_int("hydra.launcher.workers_per_device", workers_per_device)
    if workers == "auto":
        count = len(devices) * share if devices else cores
    else:
        count = positive_int("hydra.launcher.workers", workers)
    if devices and count > len(devices) * share:
        raise ConfigError(
            f"hydra.launcher.workers={count}: expected at most {len(devices) * share}, "
            f"{share} on each of {len(devices)} devices; raise hydra.launcher.workers_per_device"
        )
    threads = max(1, cores // count)
    return [
        Slot(id=i, devices=(devices[i % len(devices)],) if devices else (), threads=threads)
        for i in range(count)
    ]
