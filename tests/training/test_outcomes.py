from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from seqsweep.errors import DataError
from seqsweep.protocol import Failed, Infeasible, Interrupted, LocalContext, Outcome
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, train
from seqsweep.training.outcomes import outcome_of
from training.tiny import STEPS, faulty


def run(directory: Path, fault: str, at: int = 0) -> tuple[Outcome, MemoryTracker]:
    tracker = MemoryTracker()
    return train(build(faulty(fault, at)), context=LocalContext(directory), tracker=tracker), tracker


def test_not_a_number_from_the_start_is_infeasible(tmp_path: Path) -> None:
    outcome, tracker = run(tmp_path, "nan")
    assert outcome == Infeasible("train/loss is not a finite number after epoch 1")
    assert tracker.state == "infeasible"
    assert not any(name.startswith("best/") for name in tracker.metrics)


def test_not_a_number_later_is_failed(tmp_path: Path) -> None:
    outcome, tracker = run(tmp_path, "nan", at=STEPS + 2)
    assert outcome == Failed("train/loss is not a finite number after epoch 2")
    assert tracker.state == "failed"
    assert tracker.metrics["best/val/loss"] == tracker.metrics["val/loss"][:1]
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == STEPS


@pytest.mark.parametrize("fault", ["memory", "cuda", "allocator"])
def test_out_of_memory_is_infeasible(tmp_path: Path, fault: str) -> None:
    outcome, tracker = run(tmp_path, fault, at=STEPS + 2)
    assert isinstance(outcome, Infeasible)
    assert outcome.reason.startswith("out of memory: ")
    assert "\n" not in outcome.reason
    assert tracker.state == "infeasible"


def test_an_exception_is_failed_with_its_last_line_and_its_traceback_kept(tmp_path: Path) -> None:
    outcome, tracker = run(tmp_path, "error")
    assert outcome == Failed("ValueError: second line")
    text = (tmp_path / "error.txt").read_text()
    assert "Traceback" in text
    assert "ValueError: first line\nsecond line" in text
    assert tracker.state == "failed"
    assert (tmp_path / "error.txt", "") in tracker.artifacts


def test_a_failed_run_starts_anew(tmp_path: Path) -> None:
    first, _ = run(tmp_path, "error", at=STEPS + 1)
    second, tracker = run(tmp_path, "error", at=STEPS + 1)
    assert first == second
    assert tracker.metrics["val/loss"][0][0] == STEPS


def test_sys_exit_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "exit")


def test_an_interrupt_from_the_keyboard_is_an_interrupted_run(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    outcome, tracker = run(tmp_path, "interrupt")
    assert outcome == Interrupted()
    assert signal.getsignal(signal.SIGINT) is handler
    assert tracker.state is None


def test_errors_as_outcomes() -> None:
    assert outcome_of(DataError("a: b")) == Failed("a: b", usage=True)
    assert outcome_of(KeyError("x")) == Failed("KeyError: 'x'")
    assert outcome_of(MemoryError()) == Infeasible("out of memory: MemoryError", memory=True)
    assert outcome_of(RuntimeError("shape")) == Failed("RuntimeError: shape")
