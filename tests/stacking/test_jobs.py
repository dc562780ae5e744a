"""Trials of a stack from their configurations to their outcomes: records, checkpoints, pruning, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seqsweep.errors import StoreError
from seqsweep.protocol import (
    Complete,
    Failed,
    Infeasible,
    Interrupted,
    JobContext,
    Outcome,
    Pruned,
)
from seqsweep.stacking import jobs
from seqsweep.tracking import records
from seqsweep.training import build, record
from seqsweep.training import jobs as one_by_one
from stacking.sets import contexts, payload, small
from training.tiny import SCHEDULERS, Answering

KINDS = {
    "numbers": {"model__dropout": 0.2, "model__num_layers": 2},
    "regression": {"model__recurrent_dropout": 0.2},
    "music": {},
    "story": {"model__dropout": 0.2},
}


def three(kind: str, folder: Path, **changes: Any) -> list[dict[str, Any]]:
    """Configurations that differ in learning rate, clipping and seed."""
    rates, clips = (0.01, 0.003, 0.03), (1.0, None, 0.5)
    return [
        small(kind, folder, seed=seed, optimizer__lr=rate, trainer__gradient_clip_val=clip, **changes)
        for seed, (rate, clip) in enumerate(zip(rates, clips, strict=True))
    ]


def stacked(configs: list[dict[str, Any]], given: list[JobContext], **goal: Any) -> dict[int, Outcome]:
    return dict(jobs.run([payload(configuration, **goal) for configuration in configs], given))


def metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What was recorded, but for what takes time."""
    found = records.curves(folder)
    return {name: curve for name, curve in found.items() if not name.startswith("system/")}


def assert_same(found: Path, expected: Path, tolerance: float = 0.0) -> None:
    mine, theirs = metrics(found), metrics(expected)
    assert mine.keys() == theirs.keys()
    for name, curve in theirs.items():
        assert [step for step, _ in mine[name]] == [step for step, _ in curve], name
        assert [value for _, value in mine[name]] == pytest.approx(
            [value for _, value in curve], abs=tolerance, rel=tolerance
        ), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_s_record_is_that_of_the_same_trial_alone(kind: str, tmp_path: Path) -> None:
    configs = three(kind, tmp_path, **KINDS[kind])
    together, apart = contexts(tmp_path / "together", 3), contexts(tmp_path / "apart", 3)
    found = stacked(configs, together)
    for place, configuration in enumerate(configs):
        expected = one_by_one.run(payload(configuration), apart[place])
        outcome = found[place]
        assert isinstance(expected, Complete)
        assert isinstance(outcome, Complete)
        assert outcome.values == pytest.approx(expected.values, abs=1e-3)
        assert outcome.detail == pytest.approx(expected.detail, abs=1e-3)
        assert_same(together[place].directory, apart[place].directory, 1e-3)
        mine, theirs = (sorted(_files(each.directory)) for each in (together[place], apart[place]))
        assert mine == theirs


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_s_checkpoint_evaluates_in_the_plain_model(kind: str, tmp_path: Path) -> None:
    configs, given = three(kind, tmp_path, **KINDS[kind]), contexts(tmp_path, 3)
    found = stacked(configs, given)
    for place, configuration in enumerate(configs):
        kept = torch.load(given[place].directory / "best.ckpt", weights_only=True)
        task = build(configuration).task
        task.load_state_dict(kept["state_dict"])
        task.eval()
        with torch.inference_mode():
            for number, batch in enumerate(build(configuration).data.val_dataloader()):
                task.validation_step(batch, number)
        outcome = found[place]
        assert isinstance(outcome, Complete)
        again = {name: float(value) for name, value in task.results("val").items()}
        assert again == {name: value for name, value in outcome.detail.items() if name.startswith("val/")}


@pytest.mark.parametrize(
    ("schedule", "looks"), [("none", 2), ("cosine", 4), ("one_cycle", 5), ("warm_up", 7), ("plateau", 10)]
)
def test_an_interrupted_stack_goes_on_as_if_nothing_had_happened(
    schedule: str, looks: int, tmp_path: Path
) -> None:
    changes = {"scheduler": SCHEDULERS[schedule], "model__dropout": 0.2}
    configs = three("numbers", tmp_path, **changes)
    whole = contexts(tmp_path / "whole", 3)
    expected = stacked(configs, whole)
    broken = contexts(tmp_path / "broken", 3)
    first: list[JobContext] = [Answering(each.directory) for each in broken]
    for each in first:
        each.steps = looks  # type: ignore[attr-defined]
    assert all(isinstance(outcome, Interrupted) for outcome in stacked(configs, first).values())
    again = stacked(configs, broken)
    for place in range(3):
        assert again[place] == expected[place]
        assert_same(broken[place].directory, whole[place].directory)


@pytest.mark.parametrize(
    ("kind", "schedule", "looks"),
    [
        ("numbers", "none", 1),
        ("numbers", "one_cycle", 3),
        ("numbers", "plateau", 6),
        ("story", "cosine", 7),
        ("story", "warm_up", 4),
    ],
)
def test_either_way_of_training_goes_on_where_the_other_left(
    kind: str, looks: int, schedule: str, tmp_path: Path
) -> None:
    changes = {"scheduler": SCHEDULERS[schedule], "model__dropout": 0.2}
    [configuration, *_] = three(kind, tmp_path, **changes)
    [whole] = contexts(tmp_path / "whole", 1)
    expected = one_by_one.run(payload(configuration), whole)
    assert isinstance(expected, Complete)
    for number, (begin, end) in enumerate(((_stack_of_one, one_by_one.run), (one_by_one.run, _stack_of_one))):
        [broken] = contexts(tmp_path / str(number), 1)
        first = Answering(broken.directory)
        first.steps = looks
        assert isinstance(begin(payload(configuration), first), Interrupted)
        outcome = end(payload(configuration), broken)
        assert isinstance(outcome, Complete)
        assert outcome.detail == pytest.approx(expected.detail, abs=1e-4)
        assert_same(broken.directory, whole.directory, 1e-4)


def _stack_of_one(one: dict[str, Any], context: JobContext) -> Outcome:
    [(_, outcome)] = jobs.run([one], [context])
    return outcome


def test_a_pruned_member_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    configs, given = three("numbers", tmp_path), contexts(tmp_path / "some", 3)
    pruned = Answering(given[1].directory)
    pruned.stop = 2
    found = stacked(configs, [given[0], pruned, given[2]])
    assert isinstance(found[1], Pruned)
    assert len(pruned.reports) == 2
    alone = contexts(tmp_path / "alone", 3)
    expected = stacked(configs, alone)
    for place in (0, 2):
        assert_same(given[place].directory, alone[place].directory, 1e-6)
        assert found[place].values == pytest.approx(expected[place].values, abs=1e-6)  # type: ignore[union-attr]


def test_members_may_have_epochs_and_patience_of_their_own(tmp_path: Path) -> None:
    configs = three("numbers", tmp_path)
    configs[0]["trainer"]["max_epochs"] = 2
    configs[1]["trainer"] |= {"max_epochs": 30, "patience": 1, "check_val_every_n_epoch": 2}
    together, apart = contexts(tmp_path / "together", 3), contexts(tmp_path / "apart", 3)
    found = stacked(configs, together)
    for place, configuration in enumerate(configs):
        expected = one_by_one.run(payload(configuration), apart[place])
        assert found[place].values == pytest.approx(expected.values, abs=1e-3)  # type: ignore[union-attr]
        assert_same(together[place].directory, apart[place].directory, 1e-3)


def test_what_is_wrong_with_one_member_ends_it_alone(tmp_path: Path) -> None:
    configs = three("numbers", tmp_path)
    configs[0]["model"]["hidden_size"] = -1  # the first of them, which the others must not be built after
    configs[1]["optimizer"]["lr"] = 1e39  # more than a float32 holds: not a number at once
    given = contexts(tmp_path, 3)
    found = stacked(configs, given, metric="val/accuracy", direction="maximize")
    assert isinstance(found[1], Infeasible | Failed)
    assert "not a finite number" in str(found[1])
    assert found[0] == Failed("model.hidden_size=-1: expected an integer of at least 1", usage=True)
    assert isinstance(found[2], Complete)


def test_a_trial_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    configs, given = three("numbers", tmp_path), contexts(tmp_path, 3)
    expected = stacked(configs, given)
    before = [each.directory.joinpath("best.ckpt").stat().st_mtime_ns for each in given]
    assert stacked(configs, given) == expected
    assert before == [each.directory.joinpath("best.ckpt").stat().st_mtime_ns for each in given]


def test_a_member_that_is_never_validated_has_failed_as_it_would_alone(tmp_path: Path) -> None:
    configs, given = three("numbers", tmp_path, trainer__check_val_every_n_epoch=9), contexts(tmp_path, 4)
    found = stacked(configs, given[:3])
    assert set(found.values()) == {one_by_one.run(payload(configs[0]), given[3])}
    assert isinstance(found[0], Failed)


def test_a_record_that_cannot_be_ended_is_its_member_s_own_affair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, given = three("numbers", tmp_path), contexts(tmp_path, 3)
    ended = record.finish

    def full(built: Any, directory: Path, *rest: Any, **named: Any) -> None:
        if directory == given[0].directory:
            raise StoreError("no space left")
        ended(built, directory, *rest, **named)

    monkeypatch.setattr(record, "finish", full)
    found = stacked(configs, given)
    assert found[0] == Failed("no space left", usage=True)
    assert isinstance(found[1], Complete)
    assert isinstance(found[2], Complete)
