"""From ``hydra.launcher`` to an executor on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from seqsweep.checks import positive_float, positive_int
from seqsweep.cli.stacks import stack_size
from seqsweep.launching import LocalExecutor, Packing, find_devices, make_slots
from seqsweep.launching.devices import count_cores
from seqsweep.launching.local import START_METHOD
from seqsweep.launching.mps import open_mps
from seqsweep.stacking import plan

if TYPE_CHECKING:
    from omegaconf import DictConfig

OURS = (
    "torch",
    "seqsweep.training.lightly",
    "lightning.pytorch",
    "hydra",
    "omegaconf",
    "seqsweep.data",
    "seqsweep.models",
    "seqsweep.tasks",
    "seqsweep.training.jobs",
    # what each trial would be the first to import
    "numpy.random",
    "torch.utils._device",
    "torch.utils.serialization.config",
    "fsspec.implementations.chained",
)
"""What the warm server imports for seqsweep's own tasks."""

SPAWNED_TRIALS = 8
"""Trials of a worker where each new one would import all of this again."""


def open_executor(launcher: DictConfig, native: bool, stacks: bool = False) -> LocalExecutor:
    """The executor that ``hydra.launcher`` describes; `stacks`: whether several of its jobs may run as one.

    Raises ConfigError for what it cannot do.
    """
    seats = stack_size(launcher, stacks)
    if launcher.trial_timeout is not None:
        positive_float("hydra.launcher.trial_timeout", launcher.trial_timeout)
    cores, workers, share = count_cores(), launcher.workers, launcher.workers_per_device
    devices = find_devices()
    slots = make_slots(devices, cores, workers, share, launcher.devices_per_trial, seats=seats)
    packing = Packing(cores, None if workers == "auto" else workers) if share == "auto" else None
    return LocalExecutor(
        slots,
        (*_preload(native), *([plan.ENTRY.partition(":")[0]] if seats > 1 else [])),
        launcher.trial_timeout,
        trials_per_worker=_trials_per_worker(launcher.trials_per_worker),
        packing=packing,
        mps=open_mps(launcher.mps, devices, share),
    )


def _preload(native: bool) -> tuple[str, ...]:
    """For another application Hydra, and of the rest only what it has imported itself."""
    if native:
        return OURS
    return ("seqsweep.cli.hydra_warm", *(name for name in OURS[:2] if name in sys.modules))


def _trials_per_worker(given: object) -> int:
    if given == "auto":
        return 1 if START_METHOD == "forkserver" else SPAWNED_TRIALS
    return positive_int("hydra.launcher.trials_per_worker", given)
