"""From ``seqsweep train`` to its first step, beside importing torch and lightning."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from speed.measuring import Bar, Row, Settings, in_turn
from speed.spools import first_step
from speed.workers import environment
from speed.works import SIZES

IMPORTS = "import torch, lightning, time; print(time.time())"


def measure(settings: Settings) -> Iterator[Row]:
    """Fresh processes in turn; the store is there and the data prepared."""
    _train(settings)
    contestants = {"imports": partial(_imports, settings), "ours": partial(_train, settings)}
    told = in_turn(contestants, settings.repeats)
    yield Row("command to the first step's end", "s", told.of, ("ours", "imports"), Bar(1.4, most=True))


def _imports(settings: Settings) -> float:
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env=environment(settings, "start"),
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout) - began


def _train(settings: Settings) -> float:
    overrides = [*SIZES[0].typed(settings.device), "trainer.max_epochs=1", "trainer.log_every_n_steps=1"]
    folder = Path(settings.folder) / "start"
    before = _runs(folder)
    began = time.time()
    subprocess.run(
        [sys.executable, "-m", "seqsweep", "train", *overrides],
        env=environment(settings, "start"),
        cwd=folder if folder.is_dir() else None,
        check=True,
        capture_output=True,
    )
    [run] = _runs(folder) - before
    return first_step(run) - began


def _runs(folder: Path) -> set[Path]:
    return {spool.parents[1] for spool in folder.glob("outputs/*/*/.seqsweep/spool.jsonl")}
