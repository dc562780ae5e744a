"""MLflow and its store are there whole or not at all: whoever imports it, and whenever its maker is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seqsweep.tracking import mlflow_store

MAKE = """
import os, signal, sys
import sqlalchemy
from seqsweep.tracking import mlflow_store
left = int(sys.argv[2])

@sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
def count(connection, cursor, statement, *rest):
    global left
    if statement.lstrip().upper().startswith("CREATE TABLE"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

mlflow_store.connect(sys.argv[1])
"""


@pytest.mark.real
@pytest.mark.parametrize("table", [1, 9, 25])
def test_a_maker_killed_at_some_table_leaves_nothing_in_the_way(tmp_path: Path, table: int) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    killed = subprocess.run([sys.executable, "-c", MAKE, uri, str(table)], check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "mlflow.db").exists()
    client = mlflow_store.connect(uri)
    assert client.create_experiment("one")
    assert {path.name for path in tmp_path.glob("mlflow.db*")} == {"mlflow.db", "mlflow.db.lock"}


def test_two_threads_may_need_mlflow_at_once() -> None:
    """Its modules import one another in circles, so that the second thread may find half of one."""
    code = "from seqsweep.tracking import mlflow_store as m; m.import_beside(); m.store_errors()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
