"""How fast the record is written: eight processes log at once, one recorder drains into SQLite.

    .venv/bin/python benchmarks/writer.py

Each process logs through a spool of its own as fast as it can. The rate is the metrics found in
the store over the seconds from the first log to the end of the last drain; MLflow's own
`log_batch` of 1000 metrics is measured beside it. All metrics must be there, once and in order.
Prints one table and writes it with the machine's name to benchmarks/results/writer.json.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from seqsweep.tracking import Recorder, StudyRecord
from seqsweep.tracking.mlflow_store import connect

RESULTS = Path(__file__).parent / "results"
PROCESSES, STEPS, KEYS = 8, 2500, 4
COUNT = PROCESSES * STEPS * KEYS
REPEATS = 5

WRITER = f"""
import sys, time
from pathlib import Path
from seqsweep.tracking import Spool

with Spool(Path(sys.argv[1])) as spool:
    print("ready", flush=True)
    sys.stdin.readline()
    print(time.time(), flush=True)
    for step in range({STEPS}):
        spool.log_metrics({{f"key/{{k}}": step + k / 10 for k in range({KEYS})}}, step)
    spool.end("complete")
"""
"""A process that waits for its signal, says when it begins, and logs."""


def start(folder: Path) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    return writer


def ours(home: Path) -> tuple[float, float]:
    """Metrics a second from eight processes into the store, and microseconds of this process a metric."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    study = StudyRecord("writer", "uid", directory=home / "study")
    folders = [study.folder / str(number) for number in range(PROCESSES)]
    with Recorder(uri, "writer", home / "artifacts", study) as recorder:
        assert recorder.drain()  # mlflow is imported and the store open
        writers = [start(folder) for folder in folders]
        for number, folder in enumerate(folders):
            recorder.follow(folder, str(number), trial=number)
        worked = time.process_time()
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        began = min(float(writer.stdout.readline()) for writer in writers)
        assert [writer.wait() for writer in writers] == [0] * PROCESSES
        assert recorder.drain()
        seconds, worked = time.time() - began, time.process_time() - worked
    check(home / "mlflow.db")
    return COUNT / seconds, worked / COUNT * 1e6


def check(file: Path) -> None:
    """Every metric of every process once, in the order it was logged."""
    with sqlite3.connect(file) as store:
        rows = store.execute(
            "select run_uuid, key, step, value from metrics where key like 'key/%' order by rowid"
        ).fetchall()
    assert len(rows) == COUNT, f"{len(rows)} of {COUNT}"
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for run, key, step, value in rows:
        series.setdefault((run, key), []).append((step, value))
    assert len(series) == PROCESSES * KEYS
    for (_, key), found in series.items():
        assert found == [(step, step + int(key[-1]) / 10) for step in range(STEPS)]


def bare(home: Path) -> tuple[float, float]:
    """The same of MLflow's `log_batch`, 1000 at a time, by itself."""
    from mlflow.entities import Metric

    client = connect(f"sqlite:///{home / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("bare")).info.run_id
    metrics = [
        Metric(f"key/{k}", step + k / 10, 1_700_000_000_000 + step, step)
        for step in range(COUNT // KEYS)
        for k in range(KEYS)
    ]
    began, worked = time.perf_counter(), time.process_time()
    for first in range(0, COUNT, 1000):
        client.log_batch(run, metrics[first : first + 1000])
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    return COUNT / seconds, worked / COUNT * 1e6


def in_new_folder(measure: Callable[[Path], tuple[float, float]]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def once() -> dict[str, float]:
    """Both, one after the other."""
    (mine, my_work), (theirs, their_work) = in_new_folder(ours), in_new_folder(bare)
    return {
        "recorder, metrics a second": mine,
        "bare log_batch, metrics a second": theirs,
        "recorder, processor microseconds a metric": my_work,
        "bare log_batch, processor microseconds a metric": their_work,
    }


def main() -> None:
    rows = [once() for _ in range(REPEATS)]
    medians = {what: statistics.median(row[what] for row in rows) for what in rows[0]}
    print(f"{PROCESSES} processes, {COUNT} metrics, medians of {REPEATS}")
    for what, value in medians.items():
        print(f"{what}: {value:.0f}")
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "rows": rows, "medians": medians}, indent=1)
    (RESULTS / "writer.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
