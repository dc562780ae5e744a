"""Other launchers than ours under our sweeper: what they are asked for, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.checks import positive_int
from seqsweep.cli.executors import OURS
from seqsweep.errors import ConfigError, StoreError
from seqsweep.launching import LocalExecutor, make_slots
from seqsweep.launching.devices import count_cores
from seqsweep.launching.mounts import network_file_system

if TYPE_CHECKING:
    from omegaconf import DictConfig

ONE_MACHINE = ("SeqsweepLauncher", "BasicLauncher", "JoblibLauncher", "submitit_launcher.LocalLauncher")
"""Launchers whose jobs stay on the driver's machine; any other's may run anywhere."""


def batch_size(config: DictConfig) -> int | None:
    """How many jobs the configured launcher is handed at once; None with ours, which needs no batches.

    Raises ConfigError for a size that is none, or that nothing would heed.
    """
    launcher, wanted = config.hydra.launcher, config.hydra.sweeper.batch_size
    if "hydra_plugins.seqsweep" in str(launcher.get("_target_")):
        if wanted is not None:
            raise ConfigError(
                f"hydra.sweeper.batch_size={wanted}: expected null with hydra/launcher=seqsweep, which runs "
                "no batches: hydra.launcher.workers says how many trials run at a time"
            )
        return None
    if "stack" in launcher:
        raise ConfigError(
            f"hydra.launcher.stack={launcher.stack}: expected hydra/launcher=seqsweep: "
            "with others every trial runs alone"
        )
    if wanted is not None:
        return positive_int("hydra.sweeper.batch_size", wanted)
    return _at_once(launcher)


def _at_once(launcher: Mapping[str, Any]) -> int:
    """How many jobs the launcher runs at a time by its own settings, 1 if they do not say."""
    if "n_jobs" in launcher:  # joblib: -1 is all cores, -2 all but one
        jobs = launcher["n_jobs"] or 1
        return max(1, jobs if jobs > 0 else count_cores() + 1 + jobs)
    return int(launcher.get("array_parallelism") or 1)  # submitit


def notice(config: DictConfig, size: int) -> str:
    """What a person gives up with this launcher."""
    name = config.hydra.runtime.choices.get("hydra/launcher")
    batches = "one trial at a time" if size == 1 else f"batches of {size}, each as long as its slowest trial"
    return (
        f"hydra/launcher={name}: {batches} (hydra.sweeper.batch_size), and no trial is pruned; "
        "hydra/launcher=seqsweep starts one whenever one ends, and prunes"
    )


def open_checker(native: bool) -> LocalExecutor:
    """One worker of ours, for what is tried before the launcher runs the trials."""
    return LocalExecutor(make_slots((), cores=1), OURS if native else ())


def check_stores(
    launcher: Mapping[str, Any], files: Mapping[str, Path | None], table: str | None = None
) -> None:
    """Whether the launcher's jobs may run on several nodes beside these SQLite files.

    Args:
        launcher: ``hydra.launcher``.
        files: by the key that sets it, each store's file; None for a server.
        table: this machine's mounts, see `seqsweep.launching.mounts`.

    Raises:
        StoreError: one is on a network file system, where SQLite's locks do not hold.

    """
    if str(launcher.get("_target_")).endswith(ONE_MACHINE):
        return
    for key, file in files.items():
        kind = network_file_system(file, table) if file is not None else None
        if kind is not None:
            raise StoreError(
                f"{key}: {file} is on a network file system ({kind}), where SQLite's locks do not hold, and "
                "this launcher's jobs may run on several nodes: expected servers, as in "
                "MLFLOW_TRACKING_URI=http://HOST:PORT and hydra.sweeper.storage=postgresql://USER@HOST/NAME"
            )
