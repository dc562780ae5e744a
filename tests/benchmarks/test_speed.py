"""The benchmark runs, compares losses, and writes what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.real
def test_a_smoke_run_measures_compares_and_writes_both_files(tmp_path: Path) -> None:
    paths = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    parts = ["--only", "single", "compiled", "logging", "gru", "--sizes", "tiny"]

    done = subprocess.run(
        [sys.executable, "-m", "speed", "--quick", *parts, "--out", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out" / "speed.json").read_text())
    assert list(told) == ["single", "compiled", "logging", "gru"]
    [tiny] = told["single"]["rows"]
    assert set(tiny["medians"]) == {"floor", "stock", "ours"}
    assert tiny["figure"] == pytest.approx(tiny["medians"]["ours"] / tiny["medians"]["floor"])
    assert told["single"]["machine"]["processor"]
    assert tiny["what"] in (tmp_path / "out" / "speed.md").read_text()
    assert "met" in done.stdout or "missed" in done.stdout


@pytest.mark.real
def test_an_unknown_part_is_refused_in_a_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "speed", "--only", "singel"],
        env=os.environ | {"PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "invalid choice: 'singel'" in done.stderr
