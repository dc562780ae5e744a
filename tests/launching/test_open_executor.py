"""From ``hydra.launcher`` to workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from contracts import executor_contract as jobs
from contracts.executor_contract import until_over
from hydra_plugins.seqsweep._schema import LauncherConf
from seqsweep.cli.executors import open_executor
from seqsweep.errors import ConfigError
from seqsweep.protocol import Job, Started


def launcher(**given: Any) -> DictConfig:
    config: DictConfig = OmegaConf.structured(LauncherConf(**given))
    return config


@pytest.mark.parametrize(("trials_per_worker", "processes"), [("auto", 2), (1, 2), (2, 1)])
def test_trials_of_a_worker(tmp_path: Path, trials_per_worker: Any, processes: int) -> None:
    pids = set()
    with open_executor(launcher(workers=1, trials_per_worker=trials_per_worker), native=False) as executor:
        for trial in range(2):
            executor.submit(Job(trial, jobs.complete, 1.0, str(tmp_path)), executor.slots()[0])
            pids |= {event.pid for event in until_over(executor, 1) if isinstance(event, Started)}
    assert len(pids) == processes


def test_devices_of_a_trial_and_workers_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    settings = launcher(devices_per_trial=2, workers_per_device="auto")
    with open_executor(settings, native=False) as executor:
        assert [slot.devices for slot in executor.slots()] == [("4", "5"), ("6", "7")]
        assert [slot.processes for slot in executor.slots()] == [2, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trials_per_worker": "many"}, "trials_per_worker=many: expected an integer of at least 1"),
        ({"trials_per_worker": 0}, "trials_per_worker=0: expected an integer of at least 1"),
        ({"devices_per_trial": 0}, "devices_per_trial=0: expected an integer of at least 1"),
        ({"workers_per_device": 0}, "workers_per_device=0: expected an integer of at least 1"),
        ({"trial_timeout": -1.0}, "trial_timeout=-1.0: expected a number above 0"),
        ({"stack": 0}, "stack=0: expected an integer of at least 1"),
        ({"stack": "auto"}, "stack=auto: expected an integer of at least 1"),
        (
            {"stack": 4},
            r"stack=4: expected 1: only trials of a study \(seqsweep sweep NAME\) of seqsweep's own",
        ),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"hydra.launcher.{message}"):
        open_executor(launcher(**given), native=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers_per_device": "auto"}, "expected 1 with hydra.launcher.workers_per_device=auto"),
        ({"devices_per_trial": 2}, "expected 1 with hydra.launcher.devices_per_trial=2"),
    ],
)
def test_what_goes_with_no_stack_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"hydra.launcher.stack=4: {message}"):
        open_executor(launcher(stack=4, **given), native=True, stacks=True)


def test_a_stack_is_a_slot_of_so_many_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with open_executor(launcher(stack=8), native=False, stacks=True) as executor:
        assert [(slot.devices, slot.seats) for slot in executor.slots()] == [(("4",), 8), (("5",), 8)]
