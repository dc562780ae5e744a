"""Runs whose task has something to remember from step to step go on as if undisturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seqsweep.protocol import Complete, Interrupted, LocalContext, Slot
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, train
from seqsweep.training.callback import TrialCallback
from training import texts
from training.test_resume import DyingBetween, Killed, equal, metrics, weights
from training.tiny import Answering, config

SCHEDULED: dict[str, Any] = {
    "data": {"_target_": "training.pairs.Copying", "batch_size": 64, "seed": 0},
    "model": {"_target_": "seqsweep.models.Seq2Seq", "_partial_": True, "hidden_size": 8},
    "task": {
        "_target_": "seqsweep.tasks.Seq2Seq",
        "_partial_": True,
        "teacher_forcing_end": 0.2,
        "teacher_forcing_schedule": "inverse_sigmoid",
    },
    "trainer__max_epochs": 2,
}


def run(context: LocalContext, **options: Any) -> tuple[Any, MemoryTracker]:
    tracker = MemoryTracker()
    context.directory.mkdir(exist_ok=True)
    made = build(config(**options | {"tracking__keep_checkpoints": "all"}))
    return train(made, context=context, tracker=tracker), tracker


@pytest.mark.parametrize("kind", ["carried", "begun anew", "scheduled"])
def test_a_run_interrupted_after_every_step(tmp_path: Path, kind: str) -> None:
    options = SCHEDULED if kind == "scheduled" else texts.config(tmp_path, carry_state=kind == "carried")
    whole, undisturbed = run(LocalContext(tmp_path / "whole"), **options)
    assert isinstance(whole, Complete)
    part, trackers, outcome = tmp_path / "part", list[MemoryTracker](), Interrupted()
    for attempt in range(1, 50):
        context = Answering(part, attempt=attempt)
        context.steps = 1
        outcome, tracker = run(context, **options)
        trackers.append(tracker)
        if outcome != Interrupted():
            break
        torch.rand(17)  # whatever ran in between
    assert len(trackers) > weights(part)["global_step"]
    assert outcome == whole
    assert metrics(*trackers) == metrics(undisturbed)
    assert equal(weights(part), weights(tmp_path / "whole"))


@pytest.mark.parametrize("at", [1, 4, 12, 15])
def test_a_killed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(TrialCallback, "checkpoint_seconds", 0.0)
    options = texts.config(tmp_path)
    whole, _ = run(LocalContext(tmp_path / "whole"), **options)
    dying = DyingBetween(tmp_path / "part")
    dying.at = at
    with pytest.raises(Killed):
        run(dying, **options)
    resumed, _ = run(LocalContext(tmp_path / "part"), **options)
    assert resumed == whole
    assert equal(weights(tmp_path / "part"), weights(tmp_path / "whole"))


def test_what_is_carried_makes_a_difference(tmp_path: Path) -> None:
    carried, _ = run(LocalContext(tmp_path / "carried"), **texts.config(tmp_path))
    anew, _ = run(LocalContext(tmp_path / "anew"), **texts.config(tmp_path, carry_state=False))
    assert carried.detail != anew.detail
    best = torch.load(tmp_path / "carried" / "best.ckpt", weights_only=True)
    assert "callbacks" not in best  # a state of training is no part of a result


@pytest.mark.real
def test_two_processes_divide_the_columns(tmp_path: Path) -> None:
    options = texts.config(tmp_path)
    options["model"] |= {"dropout": 0.0, "recurrent_dropout": 0.0}
    alone, _ = run(LocalContext(tmp_path / "alone"), **options)
    two = Slot(id=0, threads=2, processes=2)
    together, _ = run(LocalContext(tmp_path / "together", slot=two), **options)
    assert isinstance(together, Complete)
    assert together.detail == pytest.approx(alone.detail, abs=1e-4)
    interrupted = Answering(tmp_path / "part", slot=two)
    interrupted.steps = 4
    assert run(interrupted, **options)[0] == Interrupted()
    assert run(LocalContext(tmp_path / "part", slot=two), **options)[0] == together
