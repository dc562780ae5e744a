"""What a run uses of its machine, sampled beside the training."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from seqsweep.tracking import MemoryTracker
from seqsweep.training import system
from seqsweep.training.system import SystemMetrics, watching

CPU = torch.device("cpu")
NAMES = ["system/cpu_utilization_percentage", "system/process_memory_megabytes"]


def work(seconds: float) -> None:
    """Keep one core busy."""
    began = system.time.perf_counter()
    while system.time.perf_counter() - began < seconds:
        sum(range(1000))


def test_the_shortest_run_has_a_sample(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    with SystemMetrics(tracker, tmp_path, CPU):
        work(0.01)
    assert sorted(tracker.metrics) == NAMES
    [(step, percentage)], [(_, megabytes)] = (tracker.metrics[name] for name in NAMES)
    assert step == 0
    assert 0 < percentage < 100 * torch.get_num_threads() + 900  # a test's neighbours are in the process too
    assert 100 < megabytes < 1e6


def test_it_samples_now_and_then_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "FIRST", 0.01)
    monkeypatch.setattr(system, "INTERVAL", 0.01)
    tracker, sampled = MemoryTracker(), threading.Event()
    monkeypatch.setattr(tracker, "log_metrics", lambda values, step: sampled.set())
    with SystemMetrics(tracker, tmp_path, CPU):
        for _ in range(3):
            assert sampled.wait(20)
            sampled.clear()
    assert not [thread for thread in threading.enumerate() if thread.name == "seqsweep-system"]


def test_steps_are_seconds_since_the_first_attempt(tmp_path: Path) -> None:
    (tmp_path / ".seqsweep").mkdir()
    (tmp_path / ".seqsweep" / "began").write_text(str(system.time.time() - 100))
    tracker = MemoryTracker()
    with SystemMetrics(tracker, tmp_path, CPU):
        pass
    [(step, _)] = tracker.metrics[NAMES[0]]
    assert 100 <= step < 160


def test_a_gpu_that_cannot_be_asked_about_is_left_out(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    with SystemMetrics(tracker, tmp_path, torch.device("cuda", 99)):
        pass
    assert sorted(tracker.metrics) == NAMES


def test_nobody_watches_who_is_not_asked_to(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    with watching(False, tracker, tmp_path, CPU):
        pass
    assert not tracker.metrics
    assert not list(tmp_path.iterdir())
