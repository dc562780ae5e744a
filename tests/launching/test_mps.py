"""NVIDIA's Multi-Process Service for a sweep, by a program that is called, daemonises and ends as it does."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.executor_contract import outcome_of, until_over
from launching.test_open_executor import launcher
from seqsweep.cli.executors import open_executor
from seqsweep.errors import ConfigError
from seqsweep.launching.mps import LOGS, PIPES, PROGRAM
from seqsweep.protocol import Complete, Job, JobContext, Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MPS is on Linux only")

FAKE = """#!/bin/sh
echo "called $* visible=${{CUDA_VISIBLE_DEVICES-all}}" >> {record}
if [ "$1" = -d ]; then
  mkfifo "$CUDA_MPS_PIPE_DIRECTORY/control" || exit 1
  setsid sh -c 'echo $$ > {pid}; read word < "$CUDA_MPS_PIPE_DIRECTORY/control"; echo "told $word" >> {record}' \\
    > /dev/null 2>&1 < /dev/null &
  while [ ! -s {pid} ]; do :; done
else
  cat > "$CUDA_MPS_PIPE_DIRECTORY/control"
fi
"""
BROKEN = "#!/bin/sh\necho no such device; exit 1\n"
CALLED = ["called -d visible=all", "called  visible=all", "told quit"]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program was told; it is on the PATH, and there are two GPUs."""
    path = tmp_path / "record"
    install(tmp_path, monkeypatch, FAKE.format(record=path, pid=tmp_path / "pid"))
    return path


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    program = folder / "bin" / PROGRAM
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv(PIPES, raising=False)


def calls(record: Path) -> list[str]:
    """Of a daemon that has ended, or is about to."""
    try:
        daemon = os.pidfd_open(int((record.parent / "pid").read_text()))
    except ProcessLookupError:
        return record.read_text().splitlines()
    ended, _, _ = select.select([daemon], [], [], 60)
    os.close(daemon)
    assert ended
    return record.read_text().splitlines()


def told(payload: Any, context: JobContext) -> Outcome:
    return Complete(detail=[os.environ.get(PIPES), os.environ.get(LOGS)])


def seen_by_a_job(folder: Path, **given: Any) -> list[str | None]:
    with open_executor(launcher(workers_per_device=2, workers=1, **given), native=False) as executor:
        executor.submit(Job(0, told, None, str(folder)), executor.slots()[0])
        outcome = outcome_of(until_over(executor, 1))
    assert isinstance(outcome, Complete)
    return list(outcome.detail)


@pytest.mark.parametrize("wanted", ["auto", True])
def test_a_daemon_for_the_workers_alone(tmp_path: Path, record: Path, wanted: Any) -> None:
    pipes, logs = seen_by_a_job(tmp_path, mps=wanted)
    assert pipes is not None
    assert pipes == logs
    assert PIPES not in os.environ
    assert calls(record) == CALLED
    assert not Path(pipes).exists()


def test_it_ends_where_the_sweep_fails(record: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_executor(launcher(workers_per_device=2), native=False):
        raise KeyboardInterrupt
    assert calls(record) == CALLED


DRIVER = """
import os, signal, sys
from launching.test_open_executor import launcher
from seqsweep.cli.executors import open_executor

executor = open_executor(launcher(workers_per_device=2, workers=1), native=False)
print("running", flush=True)
signal.pause()
"""


def test_it_ends_where_the_driver_is_killed(record: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "running\n"
        driver.send_signal(signal.SIGKILL)
    assert calls(record) == CALLED


def test_one_that_runs_already_is_left_alone(
    tmp_path: Path, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PIPES, "/run/mps")
    assert seen_by_a_job(tmp_path)[0] == "/run/mps"
    assert not record.exists()


@pytest.mark.parametrize("given", [{"mps": False}, {"workers_per_device": 1}])
def test_none_where_none_is_wanted(record: Path, given: dict[str, Any]) -> None:
    with open_executor(launcher(**{"workers_per_device": 2, **given}), native=False):
        pass
    assert not record.exists()


def test_one_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, monkeypatch, BROKEN)
    with caplog.at_level(logging.WARNING):
        assert seen_by_a_job(tmp_path) == [None, None]
    said = f"workers take turns on their GPU: {PROGRAM} cannot be started (no such device)"
    assert [each.message for each in caplog.records] == [said]
    with pytest.raises(ConfigError, match=r"mps=true: expected auto or false, since .* \(no such device\)"):
        open_executor(launcher(mps=True, workers_per_device=2), native=False)


@pytest.mark.parametrize(
    ("devices", "given", "said"),
    [
        ("0", {"mps": "always"}, "mps=always: expected auto, true or false"),
        ("", {"mps": True}, "mps=true: expected auto or false, since there is no GPU"),
        (
            "0",
            {"mps": True, "workers_per_device": 1},
            "mps=true: expected auto or false, since no two workers",
        ),
        ("MIG-1", {"mps": True}, "mps=true: expected auto or false, since the GPUs are divided"),
        ("0", {"mps": True}, f"mps=true: expected auto or false, since {PROGRAM}, which comes with"),
    ],
)
def test_what_cannot_be_is_said(
    monkeypatch: pytest.MonkeyPatch, devices: str, given: dict[str, Any], said: str
) -> None:
    monkeypatch.delenv(PIPES, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=f"hydra.launcher.{said}"):
        open_executor(launcher(**{"workers_per_device": 2, **given}), native=False)
