"""The recorder against what happens to real processes: killed, started together, cut off from a server."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seqsweep.tracking import Recorder, Spool, StudyRecord
from seqsweep.tracking.mlflow_store import connect
from tracking.serving import TrackingServer

pytestmark = pytest.mark.real

TRIALS, STEPS = 6, 400

# A driver: every start goes on with all trials, a thread each, and drains as it goes.
DRIVER = """
import sys, threading, time
from pathlib import Path
from seqsweep.tracking import Recorder, Spool, StudyRecord

uri, folder, trials, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
study = StudyRecord("killed", "uid", directory=folder, metric="best/loss")

def train(number):
    with Spool(folder / str(number), interval=0.02) as spool:
        spool.log_params({"number": number})
        for step in range(steps):
            spool.log_metrics({"loss": 1 / (step + 1), "nan": float("nan")}, step)
            time.sleep(0.002)
        spool.log_metrics({"best/loss": 1 / steps}, steps - 1)
        spool.end("complete")

with Recorder(uri, "tests", folder / "artifacts", study, interval=0.02) as recorder:
    threads = [threading.Thread(target=train, args=(number,), daemon=True) for number in range(trials)]
    for number, thread in enumerate(threads):
        thread.start()
        recorder.follow(folder / str(number), f"killed/{number}", {"seed": "1"}, {"n": number}, trial=number)
    print("going", flush=True)
    for done, thread in enumerate(threads):
        thread.join()
        recorder.study({"trials/complete": done + 1}, step=done)
    recorder.finish("complete")
"""


def start_driver(uri: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, uri, str(folder), str(TRIALS), str(STEPS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_whole(client: Any) -> None:
    """One parent, one Run a trial, every metric once and in order, all ended well."""
    (experiment,) = [one for one in client.search_experiments() if one.name == "tests"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.data.tags["seqsweep.kind"] == "study"]
    children = sorted(
        (run for run in runs if run not in parents), key=lambda run: run.data.tags["seqsweep.trial"]
    )
    assert len(parents) == 1
    assert [run.data.tags["seqsweep.trial"] for run in children] == [str(number) for number in range(TRIALS)]
    for number, run in enumerate(children):
        assert (run.info.status, run.data.tags["seqsweep.state"]) == ("FINISHED", "complete")
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.params == {"number": str(number), "n": str(number)}
        for key in ("loss", "nan"):
            history = client.get_metric_history(run.info.run_id, key)
            assert sorted(metric.step for metric in history) == list(range(STEPS))
            assert sorted(history, key=lambda metric: metric.timestamp) == sorted(
                history, key=lambda metric: (metric.timestamp, metric.step)
            )
    assert parents[0].info.status == "FINISHED"


def test_killed_at_any_moment_nothing_is_lost_or_doubled(store: Any) -> None:
    chance = random.Random(7)
    folder = store.folder / "multirun" / "killed"
    for _ in range(10):
        with start_driver(store.uri, folder) as driver:
            assert driver.stdout is not None
            driver.stdout.readline()
            time.sleep(chance.uniform(1.5, 4.5))  # mlflow's import takes about two of them
            driver.send_signal(signal.SIGKILL)
    with start_driver(store.uri, folder) as driver:
        driver.communicate(timeout=120)
    assert driver.returncode == 0
    check_whole(store.client())


def test_two_drivers_on_a_fresh_store_do_not_race(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    program = (
        "import sys; from pathlib import Path; from seqsweep.tracking import *;"
        "name, folder = sys.argv[2], Path(sys.argv[3]);"
        "Recorder(sys.argv[1], 'tests', folder, StudyRecord(name, name, directory=folder / name)).close()"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", program, uri, name, str(tmp_path)], stderr=subprocess.PIPE, text=True
        )
        for name in ("one", "two", "three")
    ]
    assert [(driver.communicate()[1], driver.returncode) for driver in drivers] == [("", 0)] * 3
    client = connect(uri)
    experiments = [one.experiment_id for one in client.search_experiments() if one.name == "tests"]
    assert len(experiments) == 1
    assert sorted(run.info.run_name for run in client.search_runs(experiments)) == ["one", "three", "two"]


@pytest.mark.parametrize("behind", ["sqlite", "postgres"])
def test_a_server_that_goes_and_comes_back_gets_everything_once(
    tmp_path: Path, behind: str, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue("postgres").database("recorder") if behind == "postgres" else None
    server = TrackingServer(tmp_path, store)
    server.start()
    study = StudyRecord("digits", "uid", directory=tmp_path / "multirun")
    recorder = Recorder(server.uri, "tests", tmp_path / "unused", study, interval=0.1, patience=60)
    try:
        spools = [Spool(study.folder / str(number), interval=0.05) for number in range(3)]
        for number in range(3):
            recorder.follow(study.folder / str(number), str(number), trial=number)
        for step in range(300):
            if step == 100:
                for spool in spools:
                    spool.flush()
                assert recorder.drain(60)
                server.stop()
            if step == 200:
                for spool in spools:
                    spool.flush()
                assert not recorder.drain(60)
                assert recorder.problem
                server.start()
            for spool in spools:
                spool.log_metrics({"loss": 1 / (step + 1)}, step)
        for spool in spools:
            (spool.directory / "config.yaml").write_text("seed: 1\n")
            spool.log_artifact(spool.directory / "config.yaml")
            spool.end("complete")
            spool.close()
        recorder.finish("complete")
        recorder.close()
        client = connect(server.uri)
        runs = client.search_runs([recorder.experiment_id], "tags.`seqsweep.kind` = 'trial'")
        assert len(runs) == 3
        for run in runs:
            assert run.info.status == "FINISHED"
            history = client.get_metric_history(run.info.run_id, "loss")
            assert [metric.step for metric in history] == list(range(300))
            assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["config.yaml"]
    finally:
        server.stop()


# A run in a process of its own: flushes half-way and says so, goes on, and ends when it is let.
WRITER = """
import sys
from pathlib import Path
from seqsweep.tracking import Spool

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
with Spool(folder, interval=0.1) as spool:
    for step in range(steps):
        if step == steps // 2:
            spool.flush()
            print("half", flush=True)
        spool.log_metrics({"a": step, "b": -step}, step)
    sys.stdin.readline()
    spool.end("complete")
"""


def start_writer(folder: Path, steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(steps)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_after_half(writer: subprocess.Popen[str]) -> None:
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        writer.kill()


def let_end(writer: subprocess.Popen[str]) -> None:
    writer.communicate("end\n")
    assert writer.returncode == 0


def test_eight_processes_write_at_once_and_some_are_killed(store: Any, study: StudyRecord) -> None:
    steps, again, never_again = 2000, (1, 4, 6), 3
    folders = [study.folder / str(number) for number in range(8)]
    with store.recorder(study) as recorder:
        writers = {number: start_writer(folder, steps) for number, folder in enumerate(folders)}
        for number, folder in enumerate(folders):
            recorder.follow(folder, str(number), trial=number)
        for number in (*again, never_again):
            kill_after_half(writers.pop(number))
        for number in again:
            writers[number] = start_writer(folders[number], steps)
        for writer in writers.values():
            let_end(writer)
    runs = {int(run.data.tags["seqsweep.trial"]): run for run in store.runs(kind="trial")}
    assert sorted(runs) == list(range(8))
    for number, run in runs.items():
        killed = number == never_again
        assert run.info.status == ("RUNNING" if killed else "FINISHED")
        for key, sign in (("a", 1.0), ("b", -1.0)):
            history = store.history(run.info.run_id, key)
            assert history == [(step, sign * step) for step in range(len(history))]
            # of a killed run, all that was flushed
            assert steps // 2 <= len(history) <= steps if killed else len(history) == steps
