"""Hydra's own launcher as an executor: what is told of its jobs, and in which batches they run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

import seqsweep
from seqsweep.cli.hydra_job import Application, Call
from seqsweep.cli.launcher_executor import LauncherExecutor
from seqsweep.errors import SeqsweepError
from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Failed,
    Infeasible,
    Interrupted,
    Job,
    Report,
    SlotLost,
    Started,
)

pytestmark = pytest.mark.usefixtures("hydra_restore_singletons")


class Recorder(BasicLauncher):
    """Hydra's launcher, its batches noted."""

    batches: list[tuple[int, int]]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.batches.append((initial_job_idx, len(job_overrides)))
        return super().launch(job_overrides, initial_job_idx)


@pytest.fixture
def application() -> Iterator[Application]:
    """Any Hydra application; its function is each test's own."""
    hydra = Hydra.create_main_hydra_file_or_module(None, "hydra.test_utils.a_module", "configs", "app")
    config = hydra.compose_config(
        "compose.yaml", ["hydra.job.chdir=false"], run_mode=RunMode.MULTIRUN, with_log_configuration=False
    )
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
    yield Application(config, context, lambda config: None)
    GlobalHydra.instance().clear()


@pytest.fixture
def executor(application: Application, tmp_path: Path) -> LauncherExecutor:
    made = LauncherExecutor.of(application, tmp_path, 3)
    recorder = made._launcher
    recorder.__class__ = Recorder
    recorder.batches = []  # type: ignore[attr-defined]
    return made


@pytest.fixture
def submit(executor: LauncherExecutor, tmp_path: Path) -> Callable[..., None]:
    def hand_over(trial: int, function: Callable[[DictConfig], Any], bar: int = 0, attempt: int = 1) -> None:
        directory = tmp_path / str(trial)
        directory.mkdir(exist_ok=True)
        job = Job(trial, Call(function, ("loss",)), [f"bar={bar}"], str(directory), attempt)
        taken = {slot.id for _, slot in executor._waiting.values()}
        executor.submit(job, next(slot for slot in executor.slots() if slot.id not in taken))

    return hand_over


def run_all(executor: LauncherExecutor) -> list[Event]:
    events: list[Event] = []
    while found := executor.poll():
        events += found
    return events


def outcomes(events: list[Event]) -> dict[int, Any]:
    return {
        event.trial: event.outcome if isinstance(event, Ended) else event
        for event in events
        if isinstance(event, Ended | SlotLost)
    }


def bar(config: DictConfig) -> float:
    return float(config.bar)


def test_a_batch_runs_in_the_trials_folders(executor: Any, submit: Any, tmp_path: Path) -> None:
    def where(config: DictConfig) -> dict[str, float]:
        hydra = HydraConfig.get()
        assert hydra.runtime.output_dir == str(tmp_path / str(hydra.job.num))
        return {"loss": hydra.job.num + config.bar}

    for trial in (4, 5, 6):
        submit(trial, where, bar=10)
    events = run_all(executor)
    assert executor._launcher.batches == [(4, 3)]
    assert outcomes(events) == {4: Complete((14.0,)), 5: Complete((15.0,)), 6: Complete((16.0,))}
    assert [type(event) for event in events] == [Started, Ended] * 3
    assert (tmp_path / "5" / ".hydra" / "overrides.yaml").read_text() == "- bar=10\n"
    assert executor.poll() == []


def test_a_gap_in_the_numbers_begins_another_batch(executor: Any, submit: Any) -> None:
    for trial in (1, 4, 5):
        submit(trial, bar, bar=trial)
    assert outcomes(executor.poll()) == {1: Complete((1.0,))}
    submit(6, bar, bar=6)  # the seat that is free again is part of the next one
    assert outcomes(executor.poll()) == {4: Complete((4.0,)), 5: Complete((5.0,)), 6: Complete((6.0,))}
    assert executor._launcher.batches == [(1, 1), (4, 3)]


def test_a_busy_seat_refuses(executor: Any, submit: Any) -> None:
    submit(0, bar)
    with pytest.raises(ValueError, match="no free seat"):
        executor.submit(executor._waiting[0][0], executor.slots()[0])


def test_whatever_comes_of_a_job_is_data(executor: Any, submit: Any, tmp_path: Path) -> None:
    def raises(config: DictConfig) -> float:
        if config.bar == 0:
            raise ValueError("no good")
        if config.bar == 1:
            raise MemoryError
        raise SystemExit(3)

    for trial in range(3):
        submit(trial, raises, bar=trial)
    assert outcomes(run_all(executor)) == {
        0: Failed("ValueError: no good"),
        1: Infeasible("MemoryError", memory=True),
        2: Failed("SystemExit: 3"),
    }
    assert 'raise ValueError("no good")' in (tmp_path / "0" / "error.txt").read_text()


def test_reports_come_with_the_end_and_prune_nothing(executor: Any, submit: Any) -> None:
    def reports(config: DictConfig) -> float:
        for step in range(3):
            seqsweep.report(step / 2, step)
        return 1.0

    submit(0, reports, attempt=2)
    started, *reported, ended = executor.poll()
    assert (started.trial, started.attempt) == (0, 2)
    assert reported == [Report(0, 2, step / 2, step) for step in range(3)]
    assert ended.outcome == Complete((1.0,))
    executor.answer(0, go=False)


class Fragile(Recorder):
    """A launcher whose worker dies of a job, and with it all the results of the batch."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returned = super().launch(job_overrides, initial_job_idx)
        if ["bar=13"] in job_overrides:
            raise RuntimeError("a worker process\nwas terminated")
        return returned


def test_a_job_that_kills_its_worker_costs_the_others_of_its_batch_nothing(
    executor: Any, submit: Any
) -> None:
    executor._launcher.__class__ = Fragile
    for trial, value in enumerate((11, 13, 12)):
        submit(trial, bar, bar=value)
    reason = "the launcher gave no result: RuntimeError: a worker process was terminated"
    assert outcomes(run_all(executor)) == {
        0: Complete((11.0,)),
        1: SlotLost(1, 1, 1, reason),
        2: Complete((12.0,)),
    }
    assert executor._launcher.batches == [(0, 3), (0, 1), (1, 1), (2, 1)]


class Broken(BasicLauncher):
    """A launcher that cannot start anything here."""

    def launch(self, *_: Any) -> Sequence[JobReturn]:
        raise RuntimeError('could not detect "srun", are you indeed on a slurm cluster?')


def test_a_launcher_that_starts_nothing_ends_the_study(executor: Any, submit: Any) -> None:
    executor._launcher.__class__ = Broken
    submit(0, bar)
    with pytest.raises(SeqsweepError, match=r'hydra/launcher: RuntimeError: could not detect "srun"'):
        executor.poll()


def test_ctrl_c_reaches_the_jobs_of_the_batch(executor: Any, submit: Any) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:

        def interrupted(config: DictConfig) -> float:
            signal.raise_signal(signal.SIGINT)
            seqsweep.report(0.5, 1)
            raise AssertionError("told to stop")

        submit(0, interrupted)
        submit(1, bar)
        submit(2, bar)
        executor.interrupt(2)
        assert outcomes(executor.poll()) == {0: Interrupted(), 1: Interrupted(), 2: Interrupted()}
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_ends_it_all_though_the_job_survives_it(executor: Any, submit: Any) -> None:
    def twice(number: int, frame: object) -> None:
        executor.close()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, twice)
    try:
        submit(0, lambda config: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            executor.poll()
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_waits_can_be_cancelled(executor: Any, submit: Any) -> None:
    submit(0, bar)
    executor.cancel(0)
    assert outcomes(executor.poll()) == {0: SlotLost(0, 1, 0, "cancelled")}
    assert executor._launcher.batches == []
