"""A home with runs that were really trained, and ways to ask for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqsweep.cli import main

WORDS = {"good": ["fine", "lovely", "bright"], "bad": ["awful", "grim", "poor"]}
TINY = [
    "model=gru",
    "model.hidden_size=8",
    "trainer.max_epochs=3",
    "optimizer.lr=0.05",
    "tracking.log_model=false",
]


def write_reviews(path: Path, count: int = 60) -> Path:
    lines = [
        f"a {WORDS[label][(row + step) % 3]} day number {row},{label}"
        for row in range(count // 2)
        for step, label in enumerate(WORDS)
    ]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


@dataclass
class Home:
    """Stores with a run on a file of one's own and one on the digits."""

    folder: Path

    def run(self, name: str) -> str:
        (found,) = (path.parents[1].name for path in self.folder.glob("mlartifacts/*/*/artifacts/config.yaml")
                    if yaml.safe_load(path.read_text())["data"]["_target_"].endswith(f".{name}"))  # fmt: skip
        return found

    def artifacts(self, name: str) -> Path:
        (found,) = self.folder.glob(f"mlartifacts/*/{self.run(name)}/artifacts")
        return found


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 2
    captured = capsys.readouterr()
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    assert captured.out == ""
    return captured.err


def documents(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    found: dict[str, Any] = json.loads(captured.out)
    return found
