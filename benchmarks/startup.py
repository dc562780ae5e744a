"""What an unrelated Hydra application pays at its start for having seqsweep in its environment.

    .venv/bin/python benchmarks/startup.py

Hydra imports every plugin of the environment in every application. Two environments
with the same packages, of which one has ours as well, start the same small
application in turn. Prints one table and writes it with the machine's name to
benchmarks/results/startup.json. Processor time is what a busy machine does not stretch.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SOURCES = Path(__file__).parents[1] / "src"
PAIRS = 20
APPLICATION = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def app(config):
    pass

app()
"""
LOADED = """
import runpy
import sys
runpy.run_path("app.py", run_name="__main__")
print(*sorted(name for name in sys.modules if "seqsweep" in name))
"""


def environment(folder: Path, *more: Path) -> Path:
    """The Python of a new environment that sees this one's packages, not installed links, and `more`."""
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    places = [sysconfig.get_path("purelib"), *map(str, more)]
    (packages / "places.pth").write_text("\n".join(places) + "\n")
    return folder / "bin" / "python"


def start(python: Path, folder: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processor that the application takes."""
    before, began = processor_seconds(), time.perf_counter()
    subprocess.run([python, "app.py", "hydra.run.dir=."], cwd=folder, check=True)
    return time.perf_counter() - began, processor_seconds() - before


def processor_seconds() -> float:
    """What the processes that have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(python: Path, folder: Path) -> list[str]:
    """Our modules that the application has imported by its end."""
    done = subprocess.run([python, "-c", LOADED], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.split()


def measure() -> tuple[list[dict[str, Any]], list[str]]:
    """Medians over the pairs, what is added being that of their differences; and our modules imported."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "app.py").write_text(APPLICATION)
        without, with_ours = environment(folder / "a"), environment(folder / "b", SOURCES)
        if ours(without, folder):
            sys.exit(f"seqsweep itself is in {sysconfig.get_path('purelib')}: install it with pip install -e")
        modules = ours(with_ours, folder)
        pairs = [(start(without, folder), start(with_ours, folder)) for _ in range(PAIRS)]
    rows = []
    for column, what in enumerate(("seconds", "processor seconds")):
        bare, full = ([times[side][column] for times in pairs] for side in (0, 1))
        rows.append(
            {
                "measured": what,
                "without": statistics.median(bare),
                "with": statistics.median(full),
                "added": statistics.median(b - a for a, b in zip(bare, full, strict=True)),
            }
        )
    return rows, modules


def show(rows: list[dict[str, Any]], modules: list[str]) -> None:
    """Print the table and keep it."""
    print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(f"{value:.4f}" if isinstance(value, float) else value for value in row.values()))
    print("imported:", *modules)
    RESULTS.mkdir(exist_ok=True)
    machine = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0)), "python": sys.version}
    text = json.dumps({"machine": machine, "pairs": PAIRS, "rows": rows, "imported": modules}, indent=1)
    (RESULTS / "startup.json").write_text(text + "\n")


if __name__ == "__main__":
    show(*measure())
