"""Whoever did other work is found out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "speed" / "measuring.py"


@pytest.fixture(scope="module")
def measuring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("speed_measuring", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def told(*losses: float, steps: int = 10) -> dict[str, Any]:
    return {"steps": steps, "history": [{"val/loss": loss} for loss in losses]}


def test_rounding_is_let_through(measuring: ModuleType) -> None:
    measuring.check_same("w", {"floor": told(0.5, 0.4), "ours": told(0.5001, 0.4003)})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (told(0.5, 0.4, steps=9), "ours made 9 steps, floor 10"),
        (told(0.5), "ours has 1 losses, floor 2"),
        (told(0.5, 0.45), "loss 2 of ours is 0.45000, that of floor 0.40000"),
        (told(0.5, float("nan")), "loss 2 of ours is nan"),
    ],
)
def test_less_work_is_an_error(measuring: ModuleType, other: dict[str, Any], message: str) -> None:
    with pytest.raises(measuring.OtherWorkError, match=message):
        measuring.check_same("w", {"floor": told(0.5, 0.4), "ours": other})


def test_a_ratio_is_the_median_of_the_rounds_own(measuring: ModuleType) -> None:
    row = measuring.Row(
        "w", "s", {"a": [1.0, 4.0, 9.0], "b": [2.0, 2.0, 3.0]}, ("a", "b"), measuring.Bar(2, most=True)
    )

    assert row.figures == [0.5, 2.0, 3.0]
    assert row.figure == 2.0
    assert row.met
