"""What ``hydra/sweeper=seqsweep`` and ``hydra/launcher=seqsweep`` can be told.

Apart from the adapters because Hydra runs those without registering them as
modules, which a dataclass cannot stand; it leaves names that begin with ``_`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class LauncherConf:
    """Every key of ``hydra.launcher`` with its default."""

    _target_: str = "hydra_plugins.seqsweep.launcher.SeqsweepLauncher"
    workers: Any = "auto"
    workers_per_device: Any = 1
    devices_per_trial: int = 1
    mps: Any = "auto"  # whether workers that share a GPU run on it side by side, and not in turns
    trials_per_worker: Any = "auto"
    stack: Any = 1  # K: up to K trials of a worker are trained as one
    retries: int = 1
    trial_timeout: float | None = None


@dataclass
class SweeperConf:
    """Every key of ``hydra.sweeper`` with its default; what they mean stands in the README."""

    _target_: str = "hydra_plugins.seqsweep.sweeper.SeqsweepSweeper"
    _recursive_: bool = False
    study_name: str | None = None
    storage: str | None = None
    metric: Any = None
    direction: Any = "minimize"
    n_trials: int = 20
    timeout: float | None = None
    patience: int | None = None
    max_failures: int | None = None
    batch_size: int | None = None
    sampler: Any = field(default_factory=lambda: {"_target_": "optuna.samplers.TPESampler", "seed": 0})
    pruner: Any = field(default_factory=lambda: {"_target_": "optuna.pruners.NopPruner"})
    seeds: int = 1
    enqueue: list[Any] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    conditional: list[Any] = field(default_factory=list)
    on_change: str = "stop"
