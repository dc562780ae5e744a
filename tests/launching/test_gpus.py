"""GPUs, simulated where there are none: real processes, the loop and a study in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from launching import occupying
from seqsweep.launching import LocalExecutor, find_devices, make_slots
from seqsweep.protocol import Job
from seqsweep.sweeping import Budget, Loop, SearchSpace, Study, StudySettings
from seqsweep.sweeping.study import Suggestion

TRIALS = 40


def sampler(seed: int | None) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("real", [False, True], ids=["simulated", "real"])
def test_each_job_sees_its_device_alone_and_no_device_is_overfull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: bool, share: int
) -> None:
    if not real:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(8))))
    devices = find_devices()
    if not devices:
        pytest.skip("no GPU here")
    slots = make_slots(devices, cores=len(devices) * share, workers_per_device=share)
    payload = {"folder": str(tmp_path), "together": len(slots), "real": real}

    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, occupying.occupy, payload, str(tmp_path))

    settings = StudySettings("gpus", None, ("value",), ("minimize",), sampler, optuna.pruners.NopPruner(), 0)
    study = Study.open(settings, SearchSpace.parse({"x": "interval(0.0,1.0)"}))
    with LocalExecutor(slots) as executor:
        Loop(study, executor, job, Budget(TRIALS)).run()
    saw = [file.read_text().split() for file in tmp_path.glob("saw-*")]
    assert len(saw) == TRIALS
    assert all(device == given and seen == "1" for device, _, seen, given in saw)
    jobs_on = Counter(device for device, *_ in saw)
    places = {(device, int(place)) for device, place, *_ in saw}
    assert jobs_on.keys() == set(devices)
    assert places == {(device, place) for device in devices for place in range(share)}


ASK_SERVER = """
import sys
from contracts.executor_contract import outcome_of, until_over
from launching import occupying
from seqsweep.cli.executors import OURS
from seqsweep.launching import LocalExecutor, make_slots
from seqsweep.protocol import Job

with LocalExecutor(make_slots((), cores=4, workers=1), OURS) as executor:
    executor.submit(Job(0, occupying.look_at_server, None, sys.argv[1]), executor.slots()[0])
    print(outcome_of(until_over(executor, 1)).detail)
"""


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_the_warm_server_leaves_cuda_alone_and_starts_no_thread(tmp_path: Path) -> None:
    # In a process of its own, since a process has one server, and here it may run already.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    answer = subprocess.run(
        [sys.executable, "-c", ASK_SERVER, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "{'imported': True, 'cuda': False, 'threads': 1}\n"
