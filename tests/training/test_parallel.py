"""One trial in two processes: the batches divided between them, the result that of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

from seqsweep.data import Batch, Examples
from seqsweep.errors import ConfigError
from seqsweep.launching import LocalExecutor
from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Infeasible,
    Interrupted,
    Job,
    LocalContext,
    Outcome,
    Pruned,
    Report,
    Slot,
    SlotLost,
)
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, train
from training.failing import Held, failing
from training.tiny import STEPS, Answering, config

TWO = Slot(id=0, threads=2, processes=2)
SEQ2SEQ: dict[str, Any] = {
    "data": {"_target_": "training.pairs.Copying", "batch_size": 40, "seed": 0},
    "model": {"_target_": "seqsweep.models.Seq2Seq", "_partial_": True, "hidden_size": 8},
    "task": {"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True},
}


def run(
    directory: Path, context: LocalContext | None = None, slot: Slot = TWO, **options: Any
) -> tuple[Outcome, MemoryTracker]:
    directory.mkdir(exist_ok=True)
    context = context or LocalContext(directory)
    context.slot = slot
    tracker = MemoryTracker()
    return train(build(config(**options)), context=context, tracker=tracker), tracker


def recorded(*trackers: MemoryTracker) -> dict[str, dict[int, float]]:
    joined: dict[str, dict[int, float]] = {}
    for tracker in trackers:
        for name, series in tracker.metrics.items():
            if not name.startswith("system/"):
                joined.setdefault(name, {}).update(dict(series))
    return joined


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    of=st.integers(1, 4),
    by_token=st.booleans(),
)
def test_the_parts_of_a_batch_have_its_mean_for_their_mean(
    lengths: list[int], of: int, by_token: bool
) -> None:
    steps, rows = torch.tensor(lengths), torch.arange(len(lengths))
    targets = torch.where(torch.arange(9) < steps.unsqueeze(1), rows.unsqueeze(1) + 1, 0)
    examples = Examples(targets.clone(), targets, steps, steps) if by_token else Examples(targets, rows + 1)

    def mean(batch: Batch) -> float:
        return float(batch.targets[batch.target_mask].double().mean())

    parts = [examples.part(rows, number, of) for number in range(of)]
    assert sum(part.weight * mean(part) for part in parts) / of == pytest.approx(mean(examples.cut(rows)))
    assert sum(len(part) for part in parts if part.weight) == len(lengths)


@pytest.mark.real
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data__batch_size": 7, "trainer__accumulate_grad_batches": 2},  # parts of 4, 3 and of 1, 0
        SEQ2SEQ,
    ],
    ids=["even", "uneven", "by tokens"],
)
def test_two_processes_reach_what_one_reaches(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"trainer__max_epochs": 2, "trainer__log_every_n_steps": 1} | options
    alone, by_one = run(tmp_path / "one", slot=Slot(id=0), **options)
    together, by_two = run(tmp_path / "two", **options)
    assert isinstance(alone, Complete)
    assert isinstance(together, Complete)
    assert together.detail == pytest.approx(alone.detail, abs=1e-5)
    one, two = recorded(by_one), recorded(by_two)
    assert one.keys() == two.keys()
    for name in one:
        assert two[name] == pytest.approx(one[name], abs=1e-5), name
    assert by_two.tags["seqsweep.device"] == "2 x cpu"
    assert by_two.tags["seqsweep.steps"] == "Lightning's own, since several processes share its batches"
    assert not distributed.is_initialized()
    assert [path.name for path in (tmp_path / "two" / ".seqsweep").iterdir()] == ["began", "outcome.json"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        ".seqsweep",
        "best.ckpt",
        "config.yaml",
        "data.json",
        "pictures",
    ]


@pytest.mark.real
def test_two_processes_are_interrupted_and_go_on(tmp_path: Path) -> None:
    options = {"model__dropout": 0.3, "trainer__max_epochs": 2}
    whole, undisturbed = run(tmp_path / "whole", **options)
    assert isinstance(whole, Complete)
    part = tmp_path / "part"
    context = Answering(part)
    context.steps = STEPS - 3
    outcome, first = run(part, context, **options)
    assert outcome == Interrupted()
    checkpoint = torch.load(part / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == STEPS - 3
    resumed, second = run(part, **options)
    assert resumed == whole
    assert recorded(first, second) == recorded(undisturbed)


@pytest.mark.real
def test_two_processes_are_pruned(tmp_path: Path) -> None:
    context = Answering(tmp_path)
    context.stop = 2
    outcome, tracker = run(tmp_path, context)
    assert isinstance(outcome, Pruned)
    assert len(tracker.metrics["val/loss"]) == 2
    assert [step for _, step in context.reports] == [STEPS, 2 * STEPS]


@pytest.mark.real
@pytest.mark.parametrize("rank", [0, 1])
def test_what_goes_wrong_in_one_process_is_the_outcome(tmp_path: Path, rank: int) -> None:
    tracker = MemoryTracker()
    context = LocalContext(tmp_path, slot=TWO)
    Held.ends.clear()
    outcome = train(build(failing("memory", rank)), context=context, tracker=tracker)
    assert isinstance(outcome, Infeasible)
    assert outcome.memory
    assert tracker.state == "infeasible"
    # What an error holds ends before the connections do: else a process can wait for its own threads, for ever.
    assert Held.ends == [True] * (rank == 0)


@pytest.mark.real
def test_a_dead_second_process_is_a_lost_worker(tmp_path: Path) -> None:
    def last_event(trial: int, model: dict[str, Any]) -> Event:
        directory = tmp_path / str(trial)
        directory.mkdir()
        executor.submit(Job(trial, "seqsweep.training.jobs:run", {"config": model}, str(directory)), TWO)
        while True:
            for event in executor.poll():
                if isinstance(event, Report):
                    executor.answer(trial, go=True)
                if isinstance(event, Ended | SlotLost):
                    return event

    with LocalExecutor([TWO], preload=["torch", "lightning.pytorch"]) as executor:
        lost = last_event(0, failing("kill"))
        ended = last_event(1, failing("nothing"))
    assert isinstance(lost, SlotLost), lost
    assert "status 1" in lost.reason
    assert isinstance(ended, Ended), ended
    assert isinstance(ended.outcome, Complete), ended


@pytest.mark.real
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    alone, _ = run(tmp_path / "one", slot=Slot(id=0))
    context = Answering(tmp_path / "two")
    context.steps = STEPS + 3
    assert run(tmp_path / "two", context, slot=Slot(id=0))[0] == Interrupted()
    together, _ = run(tmp_path / "two")
    assert isinstance(alone, Complete)
    assert isinstance(together, Complete)
    assert together.detail == pytest.approx(alone.detail, abs=1e-5)


def test_data_that_cannot_be_divided(tmp_path: Path) -> None:
    data = {"_target_": "training.tiny.Forgetful"}
    with pytest.raises(ConfigError, match=r"^hydra\.launcher\.devices_per_trial=2: .* Forgetful cannot"):
        run(tmp_path, data=data)
    assert list(tmp_path.iterdir()) == []
