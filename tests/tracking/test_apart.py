from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from seqsweep.errors import RecordError
from seqsweep.tracking import Spool
from seqsweep.tracking.apart import RecorderApart

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 30


def begun(store: Any, directory: Path) -> RecorderApart:
    directory.mkdir(exist_ok=True)
    return RecorderApart(store.uri, "tests", store.artifacts, directory, name="alone", tags={"device": "cpu"})


def train(directory: Path, end: bool = True) -> None:
    with Spool(directory) as spool:
        spool.log_params({"optimizer.lr": 0.1})
        for step in range(STEPS):
            spool.log_metrics({"train/loss": 1 / (step + 1)}, step)
        if end:
            spool.end("complete")


def recorded(store: Any) -> list[float]:
    """The only Run's losses."""
    run = store.run(kind="run")
    assert run.info.run_name == "alone"
    assert run.data.tags["device"] == "cpu"
    return [loss for _, loss in store.history(run.info.run_id, "train/loss")]


LOSSES = [1 / (step + 1) for step in range(STEPS)]


def test_a_run_is_recorded_by_another_process(store: Any, tmp_path: Path) -> None:
    recorder = begun(store, tmp_path / "run")
    train(tmp_path / "run")
    recorder.close()
    recorder.close()
    assert recorded(store) == LOSSES
    run = store.run(kind="run")
    assert recorder.run_id == run.info.run_id
    assert run.info.status == "FINISHED"
    assert shlex.split(run.data.tags["seqsweep.command"])[-1] == sys.argv[-1]  # ours, not that process's


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_becomes_of_that_process_nothing_is_lost(store: Any, tmp_path: Path, sent: int) -> None:
    recorder = begun(store, tmp_path / "run")
    os.kill(recorder._process.pid, sent)
    train(tmp_path / "run")
    recorder.close()
    assert recorded(store) == LOSSES


@pytest.mark.filterwarnings(
    "ignore:.*fork:DeprecationWarning"
)  # from Python 3.12 on, where there are threads
def test_what_was_forked_meanwhile_holds_nothing_up(store: Any, tmp_path: Path) -> None:
    recorder = begun(store, tmp_path / "run")
    train(tmp_path / "run")
    reading, writing = os.pipe()
    if (forked := os.fork()) == 0:  # has all that this process has open
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    recorder.close()
    assert os.waitpid(forked, os.WNOHANG) == (0, 0)
    os.close(writing)
    os.waitpid(forked, 0)
    assert recorded(store) == LOSSES


def test_what_a_killed_run_left_is_recorded(store: Any, tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from tracking.conftest import Store
from tracking.test_apart import begun, train
begun(Store(Path({str(store.folder)!r})), Path("run"))
train(Path("run"), end=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    tests = os.pathsep.join(sys.path)
    done = subprocess.run(  # returns when the recorder has ended, too, since it holds this pipe
        [sys.executable, "-c", code],
        check=False,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": tests},
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert recorded(store) == LOSSES
    assert store.run(kind="run").info.status == "RUNNING"


def test_what_the_store_refuses_is_said(store: Any, tmp_path: Path) -> None:
    client = store.client()
    client.delete_experiment(client.create_experiment("tests"))
    recorder = begun(store, tmp_path / "run")
    train(tmp_path / "run")
    with pytest.raises(RecordError, match="was deleted"):
        recorder.close()
