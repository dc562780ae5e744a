"""``hydra/launcher=seqsweep`` under another sweeper: a batch of jobs, in parallel, in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep.cli import hydra_job
from seqsweep.cli.executors import open_executor
from seqsweep.protocol import Complete, Ended, Executor, Failed, Job, Outcome, Report, Slot, SlotLost

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

log = logging.getLogger(__name__)


def launch(
    config: DictConfig,
    context: HydraContext,
    function: TaskFunction,
    batch: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Run one job a list of overrides, numbered from `first`; returns in the batch's order."""
    from hydra.core.utils import configure_log

    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    application = hydra_job.Application(config, context, function)
    composed = [application.compose(overrides, first + i) for i, overrides in enumerate(batch)]
    with open_executor(config.hydra.launcher, application.native) as executor:
        jobs = [_job(application, first + i, job_config) for i, job_config in enumerate(composed)]
        log.info("running %d jobs, %d at a time", len(jobs), len(executor.slots()))
        outcomes = _run_all(executor, jobs, batch)
    return [_job_return(outcomes[job.trial], config) for job, config in zip(jobs, composed, strict=True)]


def _job(application: hydra_job.Application, number: int, config: DictConfig) -> Job:
    from hydra.core.hydra_config import HydraConfig

    HydraConfig.instance().set_config(config)  # the folder may speak of ${hydra:...}
    directory = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
    directory.mkdir(parents=True, exist_ok=True)
    return Job(number, "seqsweep.cli.hydra_job:run", application.payload(config), str(directory))


def _run_all(executor: Executor, jobs: list[Job], batch: Sequence[Sequence[str]]) -> dict[int, Outcome]:
    """Every job's outcome; a slot takes the next job as soon as it is free."""
    outcomes: dict[int, Outcome] = {}
    titles = {job.trial: " ".join(overrides) for job, overrides in zip(jobs, batch, strict=True)}
    free, waiting = list(executor.slots()), list(jobs)
    busy: dict[int, Slot] = {}
    while waiting or busy:
        while waiting and free:
            job, slot = waiting.pop(0), free.pop(0)
            executor.submit(job, slot)
            busy[job.trial] = slot
        for event in executor.poll():
            if isinstance(event, Report):
                executor.answer(event.trial, go=True)  # nobody prunes a grid
            if not isinstance(event, Ended | SlotLost):
                continue
            free.append(busy.pop(event.trial))
            outcome = event.outcome if isinstance(event, Ended) else Failed(event.reason)
            outcomes[event.trial] = outcome
            log.info("#%d %s : %s", event.trial, titles[event.trial], _short(outcome))
    return outcomes


def _short(outcome: Outcome) -> str:
    if not isinstance(outcome, Complete):
        return str(outcome)
    done = hydra_job.returned(outcome)
    return f"{done.status.name.lower()}: {done._return_value}"


def _job_return(outcome: Outcome, config: DictConfig) -> JobReturn:
    from hydra.core.utils import JobReturn, JobStatus
    from omegaconf import OmegaConf

    if isinstance(outcome, Complete):
        return hydra_job.returned(outcome)
    failed = JobReturn()
    failed.status = JobStatus.FAILED
    failed.overrides = list(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
    failed.return_value = RuntimeError(getattr(outcome, "text", repr(outcome)))
    return failed
