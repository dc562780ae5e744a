"""A Hydra application whose function returns at once, and what Hydra alone takes for a job of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, open_dict

CONFIG = {"x": 0.0, "model": {"size": 3, "layers": 2}, "optimizer": {"lr": 0.1, "decay": 0.0}}
ConfigStore.instance().store(name="idle", node=CONFIG)


def value(config: DictConfig) -> float:
    """Nothing to do."""
    return float(config.x)


def by_itself(jobs: int, folder: str) -> tuple[float, float]:
    """Seconds a job that composing it and calling its function take with Hydra's own means."""
    main = Hydra.create_main_hydra_file_or_module(__file__, None, None, Path(__file__).stem)
    try:
        config = main.compose_config(
            "idle",
            [f"hydra.sweep.dir={folder}", "hydra.job.chdir=false"],
            run_mode=RunMode.MULTIRUN,
            with_log_configuration=False,
        )
        context = HydraContext(config_loader=main.config_loader, callbacks=Callbacks(config))
        took = [_job(context, config, number) for number in range(jobs + 1)][1:]
    finally:
        GlobalHydra.instance().clear()
    return sum(composed for composed, _ in took) / jobs, sum(called for _, called in took) / jobs


def _job(context: HydraContext, config: DictConfig, number: int) -> tuple[float, float]:
    began = time.perf_counter()
    job: Any = context.config_loader.load_sweep_config(config, [f"x={number / 1000}"])
    with open_dict(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    composed = time.perf_counter()
    run_job(value, job, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    return composed - began, time.perf_counter() - composed


if __name__ == "__main__":
    hydra.main(version_base="1.3", config_path=None, config_name="idle")(value)()
