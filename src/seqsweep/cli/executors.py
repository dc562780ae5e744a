"""From ``hydra.launcher`` to an executor on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from seqsweep.checks import positive_float
from seqsweep.errors import ConfigError
from seqsweep.launching import LocalExecutor, find_devices, make_slots
from seqsweep.launching.devices import count_cores

if TYPE_CHECKING:
    from omegaconf import DictConfig

OURS = ("torch", "lightning.pytorch", "torchmetrics", "hydra", "omegaconf", "seqsweep.training.jobs")
"""What the warm server imports for seqsweep's own tasks."""


def open_executor(launcher: DictConfig, native: bool) -> LocalExecutor:
    """The executor that ``hydra.launcher`` describes. Raises ConfigError for what it cannot do."""
    _refuse_what_is_not_built(launcher)
    if launcher.trial_timeout is not None:
        positive_float("hydra.launcher.trial_timeout", launcher.trial_timeout)
    slots = make_slots(find_devices(), count_cores(), launcher.workers, launcher.workers_per_device)
    # For another application only what it has imported itself is worth warming up.
    preload = OURS if native else tuple(name for name in OURS[:2] if name in sys.modules)
    return LocalExecutor(slots, preload, launcher.trial_timeout)


def _refuse_what_is_not_built(launcher: DictConfig) -> None:
    built: dict[str, tuple[object, ...]] = {
        "stack": (1,),
        "devices_per_trial": (1,),
        "trials_per_worker": ("auto", 1),
    }
    for key, values in built.items():
        if launcher[key] not in values:
            expected = " or ".join(map(str, values))
            raise ConfigError(f"hydra.launcher.{key}={launcher[key]}: not supported yet: expected {expected}")
