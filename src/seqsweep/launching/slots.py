"""Dividing devices and cores into slots."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from seqsweep.checks import positive_int
from seqsweep.errors import ConfigError
from seqsweep.protocol import Slot

log = logging.getLogger(__name__)


def make_slots(
    devices: Sequence[str],
    cores: int,
    workers: int | str = "auto",
    workers_per_device: int | str = 1,
    devices_per_trial: int = 1,
    *,
    seats: int = 1,
) -> list[Slot]:
    """One slot for each worker.

    A slot has `devices_per_trial` GPUs, which `workers_per_device` slots share (``auto``
    is 1 to begin with, see `Packing`). Slots are dealt round the GPUs, so that fewer
    workers than GPUs spread out. Without GPUs a core is a device, shared by none unless
    `workers` says so. The cores are divided among the slots, each of which has `seats`.

    Raises ConfigError for a number that cannot be had.
    """
    together = positive_int("hydra.launcher.devices_per_trial", devices_per_trial)
    places = _places(devices, cores, together)
    if workers_per_device == "auto":
        share = 1
    else:
        share = positive_int("hydra.launcher.workers_per_device", workers_per_device)
    most = len(places) * (share if devices else 1)
    count = most if workers == "auto" else positive_int("hydra.launcher.workers", workers)
    if devices and workers_per_device == "auto":
        count = min(count, most)
    elif devices and count > most:
        raise ConfigError(
            f"hydra.launcher.workers={count}: expected at most {most}, {share} on each of "
            f"{len(places)} devices; raise hydra.launcher.workers_per_device"
        )
    threads = max(together, cores // count)
    return [Slot(i, places[i % len(places)], threads, seats, together) for i in range(count)]


def _places(devices: Sequence[str], cores: int, together: int) -> list[tuple[str, ...]]:
    """The devices of each place for a trial; none where a place is made of cores."""
    have, kind = (len(devices), "GPUs") if devices else (cores, "cores")
    if together > have:
        raise ConfigError(
            f"hydra.launcher.devices_per_trial={together}: expected at most {have}, the {kind} there are"
        )
    if together > 1 and any(device.startswith("MIG") for device in devices):
        raise ConfigError(
            f"hydra.launcher.devices_per_trial={together}: expected 1 on MIG instances: "
            "CUDA shows a process one of them"
        )
    if idle := len(devices) % together:
        log.warning("hydra.launcher.devices_per_trial=%d leaves %d of %d GPUs idle", together, idle, have)
    return [tuple(devices[i * together : (i + 1) * together]) for i in range(have // together)]
