"""How long a run waits for its data: a CSV of 200 MB, read for the first time and found prepared.

    .venv/bin/python benchmarks/data_start.py

Makes a table of sequences in a temporary folder, whose pages the system then still holds. A fresh
process prepares it and takes the first training batch; others find it prepared. Of two that hold
the data at the same time, and have read all of it, the memory is taken: what is shared counts in
full in a process's resident set (RSS) and by half in its proportional one (PSS). Prints one table
and writes it with the machine's name to benchmarks/results/data_start.json.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

RESULTS = Path(__file__).parent / "results"
SEQUENCES, STEPS, FEATURES = 24_000, 100, 8
WARM = 3
MEGABYTE = 1e6

CHILD = """
import json, sys, time
from pathlib import Path

def tell(**what):
    print(json.dumps(what), flush=True)

def memory():
    sums, mapped = {}, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            mapped = words[-1].endswith(".npy")
        elif words[0] in ("Rss:", "Pss:"):
            for part in ("data", "process") if mapped else ("process",):
                name = f"{part} {words[0][:-1].upper()}"
                sums[name] = sums.get(name, 0) + 1024 * int(words[1])
    return sums

began = time.perf_counter()
from seqsweep.data import CsvClassification
imported = time.perf_counter()
data = CsvClassification(train=sys.argv[1], batch_size=64)
batch = next(iter(data.train_dataloader()))
tell(imports=imported - began, first_batch=time.perf_counter() - imported, shape=list(batch.inputs.shape))
for order in sys.stdin:
    if order == "read\\n":
        parts = (data.splits.train, data.splits.val, data.splits.test)
        tell(total=sum(float(part.inputs.values.sum()) for part in parts))
    else:
        tell(**memory())
"""


class Process:
    """A process that loads the table and does what it is told."""

    def __init__(self, table: Path, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(table)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        )
        self.start = self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ask(self, what: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> dict[str, Any]:
        self.process.communicate()
        assert self.process.returncode == 0
        return self.start


def make(path: Path) -> None:
    """A class in the mean of the first feature; the others are noise."""
    random = np.random.default_rng(0)
    target = np.repeat(random.integers(0, 4, SEQUENCES), STEPS)
    columns: dict[str, Any] = {
        "id": np.repeat(np.arange(SEQUENCES), STEPS),
        "time": np.tile(np.arange(STEPS), SEQUENCES),
    }
    for number in range(FEATURES):
        mean = target if number == 0 else 0
        columns[f"x{number}"] = (mean + random.normal(size=len(target))).round(6)
    csv.write_csv(pa.table(columns | {"target": target}), path)


def together(table: Path, cache: Path) -> list[dict[str, float]]:
    """Memory of two processes that have read all data; of that which is mapped from its files, too."""
    processes = [Process(table, cache) for _ in range(2)]
    sums = [process.ask("read")["total"] for process in processes]
    assert sums[0] == sums[1]
    found = [process.ask("memory") for process in processes]
    for process in processes:
        process.end()
    return found


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        table, cache = Path(name) / "table.csv", Path(name) / "cache"
        made = time.perf_counter()
        make(table)
        made = time.perf_counter() - made
        cold = Process(table, cache).end()
        warm = [Process(table, cache).end() for _ in range(WARM)]
        prepared = sum(file.stat().st_size for file in cache.rglob("*.npy"))
        first, second = together(table, cache)
        return {
            "table, MB": table.stat().st_size / MEGABYTE,
            "prepared, MB": prepared / MEGABYTE,
            "making the table, seconds": made,
            "imports, seconds": statistics.median(start["imports"] for start in warm),
            "first start to the first batch, seconds": cold["first_batch"],
            "second start to the first batch, seconds": statistics.median(
                start["first_batch"] for start in warm
            ),
            "slowest of the second starts, seconds": max(start["first_batch"] for start in warm),
            **{
                f"{which} of two processes, {what}, MB": size / MEGABYTE
                for which, sizes in (("first", first), ("second", second))
                for what, size in sizes.items()
            },
        }


def main() -> None:
    rows = measure()
    for what, value in rows.items():
        print(f"{what}: {value:.3f}" if "seconds" in what else f"{what}: {value:.0f}")
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "starts": WARM, "rows": rows}, indent=1)
    (RESULTS / "data_start.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
