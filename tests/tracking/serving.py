"""A real tracking server that goes away and comes back, and what makes a trial wait for that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from lightning.pytorch import Callback, LightningModule, Trainer


class TrackingServer:
    """A real ``mlflow server`` that can go away and come back on its port.

    Its store is ``mlflow.db`` in `folder`, as where there is no server, or the database at `store`.
    """

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self._store = store or f"sqlite:///{folder / 'mlflow.db'}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.artifacts = folder / "served"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._store]
        command += ["--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--artifacts-destination", str(self.artifacts)]
        self._process = subprocess.Popen(
            command,
            cwd=self._folder,
            env={
                **os.environ,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urlopen(f"{self.uri}/health", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError("no answer")

    def signal(self, number: int) -> None:
        """To the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None


class Gate(Callback):
    """Holds one trial at the beginning of its training until a file is there."""

    def __init__(self, trial: int, file: str) -> None:
        self._trial, self._file = trial, Path(file)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if Path(str(trainer.default_root_dir)).name != str(self._trial):
            return
        while not self._file.exists():
            time.sleep(0.05)


def served_like_embedded(server: TrackingServer, home: Path, client: Any, project: str = "seqsweep") -> None:
    """Let the server's artifacts be found where those of an embedded store are."""
    (home / "mlartifacts").mkdir(exist_ok=True)
    experiment = client.get_experiment_by_name(project).experiment_id
    (home / "mlartifacts" / project).symlink_to(server.artifacts / experiment)
