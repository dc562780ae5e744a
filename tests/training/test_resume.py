from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from seqsweep.errors import ConfigError
from seqsweep.protocol import Complete, Interrupted, LocalContext, Outcome, Pruned
from seqsweep.tracking import MemoryTracker, Spool
from seqsweep.training import build, train
from seqsweep.training.callback import TrialCallback
from training.tiny import SCHEDULERS, STEPS, Answering, config

OPTIONS: dict[str, Any] = {"model__dropout": 0.3, "tracking__keep_checkpoints": "all"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, nothing is tidied up after it."""


@dataclass
class Dying(LocalContext):
    """Dies at the report of step `at`, before it has left."""

    at: int = field(default=0)

    def report(self, value: float, step: int) -> bool:
        if step == self.at:
            raise Killed
        return super().report(value, step)


class DyingBetween(LocalContext):
    """Dies between two steps: when it is asked for the `at`th time whether it is interrupted."""

    at = 1

    @property
    def interrupted(self) -> bool:  # type: ignore[override]
        self.at -= 1
        if self.at == 0:
            raise Killed
        return False

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        pass


def run(
    directory: Path, context: LocalContext | None = None, **options: Any
) -> tuple[Outcome, MemoryTracker]:
    directory.mkdir(exist_ok=True)
    tracker = MemoryTracker()
    context = context or LocalContext(directory)
    return train(build(config(**OPTIONS | options)), context=context, tracker=tracker), tracker


def metrics(*trackers: MemoryTracker) -> dict[str, dict[int, float]]:
    """All but the times, those of a later attempt after those of the one before."""
    joined: dict[str, dict[int, float]] = {}
    for tracker in trackers:
        for name, series in tracker.metrics.items():
            if not name.startswith("system/"):
                for step, value in series:
                    joined.setdefault(name, {}).setdefault(step, value)
    return joined


def weights(directory: Path, name: str = "last.ckpt") -> dict[str, Any]:
    checkpoint = torch.load(directory / name, weights_only=True)
    return {
        key: checkpoint.get(key) for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")
    }


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)


@pytest.mark.parametrize(("scheduler", "epoch"), list(itertools.product(SCHEDULERS, (1, 2, 3, 4))))
def test_a_run_killed_at_a_report_ends_as_if_undisturbed(tmp_path: Path, scheduler: str, epoch: int) -> None:
    options = {"scheduler": SCHEDULERS[scheduler]}
    whole, undisturbed = run(tmp_path / "whole", **options)
    assert isinstance(whole, Complete)

    part = tmp_path / "part"
    first = MemoryTracker()
    part.mkdir()
    with pytest.raises(Killed):
        train(
            build(config(**OPTIONS | options)),
            context=Dying(part, at=STEPS * epoch),
            tracker=first,
        )
    torch.rand(17)  # whatever ran in between
    context = LocalContext(part, attempt=2)
    resumed, second = run(part, context, **options)

    assert resumed == whole
    assert metrics(first, second) == metrics(undisturbed)
    assert [step for _, step in context.reports] == [STEPS * n for n in range(epoch, 5)]
    assert equal(weights(part), weights(tmp_path / "whole"))
    assert equal(weights(part, "best.ckpt"), weights(tmp_path / "whole", "best.ckpt"))


@dataclass
class Unheard(LocalContext):
    """That of a job that does not ask: its driver dies before it has stored the value of step `at`."""

    asks: bool = False
    at: int = field(default=0)

    def report(self, value: float, step: int) -> bool:
        if step > self.at:
            return not self._gone()
        if step < self.at:
            self.reports.append((value, step))
        return True

    def settle(self) -> bool:
        return not self._gone()

    def _gone(self) -> bool:
        self.interrupted = True
        return True


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_no_value_is_lost_that_a_job_did_not_wait_to_see_stored(tmp_path: Path, epoch: int) -> None:
    whole, undisturbed = run(tmp_path / "whole")
    part = tmp_path / "part"
    context = Unheard(part, at=STEPS * epoch)
    outcome, first = run(part, context)
    assert outcome == Interrupted()
    assert not list(part.rglob("outcome*"))
    again = LocalContext(part, attempt=2)
    resumed, second = run(part, again)
    assert resumed == whole
    assert metrics(first, second) == metrics(undisturbed)
    assert [step for _, step in context.reports] == [STEPS * n for n in range(1, epoch)]
    # when the last checkpoint was written, its value and the one before had not been answered
    assert [step for _, step in again.reports] == [STEPS * n for n in range(min(epoch, 3), 5)]
    reported = {step: value for value, step in context.reports + again.reports}
    assert reported == dict(undisturbed.metrics["val/accuracy"])


@pytest.mark.parametrize("epoch", [1, 3])
def test_what_a_checkpoint_covers_is_on_disk_before_it(tmp_path: Path, epoch: int) -> None:
    with Spool(tmp_path, interval=3600.0) as unhurried:
        with pytest.raises(Killed):
            train(build(config(**OPTIONS)), context=Dying(tmp_path, at=STEPS * epoch), tracker=unhurried)
        kept = (tmp_path / ".seqsweep" / "spool.jsonl").read_text()  # all that SIGKILL would leave
    assert (tmp_path / "last.ckpt").is_file()
    recorded = [json.loads(line) for line in kept.splitlines()]
    validated = [
        step for kind, _, step, *rest in (r for r in recorded if r[0] == "m") if "val/loss" in rest[0]
    ]
    assert validated == [STEPS * n for n in range(1, epoch + 1)]


@pytest.mark.parametrize("steps", [1, STEPS + 3, 3 * STEPS])
def test_an_interrupted_run_goes_on(tmp_path: Path, steps: int) -> None:
    whole, undisturbed = run(tmp_path / "whole")
    part = tmp_path / "part"
    context = Answering(part)
    context.steps = steps
    outcome, first = run(part, context)
    assert outcome == Interrupted()
    assert first.state is None
    resumed, second = run(part)
    assert resumed == whole
    assert metrics(first, second) == metrics(undisturbed)
    assert equal(weights(part), weights(tmp_path / "whole"))


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cosine": {"scheduler": SCHEDULERS["cosine"]},
    "one_cycle": {"scheduler": SCHEDULERS["one_cycle"]},
    "warm_up": {"scheduler": SCHEDULERS["warm_up"]},
    "plateau": {"scheduler": SCHEDULERS["plateau"]},
    "accumulating": {"trainer__accumulate_grad_batches": 3, "trainer__log_every_n_steps": 1},
    "shortened": {"trainer__limit_train_batches": 5},
    "seldom validated": {"trainer__check_val_every_n_epoch": 2},
    "stopping": {
        "trainer__callbacks": [
            {
                "_target_": "lightning.pytorch.callbacks.EarlyStopping",
                "monitor": "val/loss",
                "min_delta": 9.0,
                "patience": 1,
            }
        ]
    },
    "generating": {
        "data": {"_target_": "training.pairs.Copying", "batch_size": 40, "seed": 0},
        "model": {
            "_target_": "seqsweep.models.Seq2Seq",
            "_partial_": True,
            "hidden_size": 8,
            "dropout": 0.2,
        },
        "task": {"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True, "teacher_forcing": 0.5},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_interrupted_after_every_step_ends_as_if_undisturbed(tmp_path: Path, kind: str) -> None:
    options = KINDS[kind]
    options = {"trainer__max_epochs": 2} | ({} if "model" in options else OPTIONS) | options
    whole, undisturbed = run(tmp_path / "whole", **options | {"tracking__keep_checkpoints": "all"})
    assert isinstance(whole, Complete)

    part, trackers, outcome = tmp_path / "part", list[MemoryTracker](), Interrupted()
    for attempt in range(1, 50):
        context = Answering(part, attempt=attempt)
        context.steps = 1
        outcome, tracker = run(part, context, **options | {"tracking__keep_checkpoints": "all"})
        trackers.append(tracker)
        if outcome != Interrupted():
            break
        torch.rand(17)  # whatever ran in between
    assert len(trackers) > weights(part)["global_step"]  # one step each, and one for the test
    assert outcome == whole
    assert metrics(*trackers) == metrics(undisturbed)
    assert equal(weights(part), weights(tmp_path / "whole"))
    assert equal(weights(part, "best.ckpt"), weights(tmp_path / "whole", "best.ckpt"))


def spooled(directory: Path) -> list[tuple[int, dict[str, float]]]:
    """The metrics records in their order, without times and speeds."""
    lines = (directory / ".seqsweep" / "spool.jsonl").read_text().splitlines()
    found = [(record[2], record[3]) for record in map(json.loads, lines) if record[0] == "m"]
    return [
        (step, values) for step, values in found if not any(name.startswith("system/") for name in values)
    ]


@pytest.mark.parametrize("at", [1, STEPS - 1, STEPS, STEPS + 1, 3 * STEPS + 5])
def test_a_run_killed_within_an_epoch_ends_as_if_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(TrialCallback, "checkpoint_seconds", 0.0)
    with Spool(tmp_path / "whole") as spool:
        whole = train(build(config(**OPTIONS)), context=LocalContext(tmp_path / "whole"), tracker=spool)
    part = tmp_path / "part"
    dying = DyingBetween(part)
    dying.at = at
    with Spool(part, interval=3600.0) as unhurried:
        with pytest.raises(Killed):
            train(build(config(**OPTIONS)), context=dying, tracker=unhurried)
        kept = (part / ".seqsweep" / "spool.jsonl").read_bytes()  # all that SIGKILL would leave
    (part / ".seqsweep" / "spool.jsonl").write_bytes(kept)
    with Spool(part) as spool:
        resumed = train(build(config(**OPTIONS)), context=LocalContext(part), tracker=spool)
    assert resumed == whole
    assert spooled(part) == spooled(tmp_path / "whole")
    assert equal(weights(part), weights(tmp_path / "whole"))


def test_checkpoints_come_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TrialCallback.checkpoint_seconds <= 60

    def left_at(step: int) -> int | None:
        dying = DyingBetween(tmp_path)
        dying.at = step
        with pytest.raises(Killed):
            run(tmp_path, dying)
        last = tmp_path / "last.ckpt"
        return int(weights(tmp_path)["global_step"]) if last.is_file() else None

    assert left_at(3) is None
    monkeypatch.setattr(TrialCallback, "checkpoint_seconds", 0.0)
    assert left_at(3) == 2


def test_a_loader_that_cannot_say_where_it_is_begins_its_epoch_again(tmp_path: Path) -> None:
    options = {"data": {"_target_": "training.tiny.Forgetful"}}
    whole, undisturbed = run(tmp_path / "whole", **options)
    part = tmp_path / "part"
    context = Answering(part)
    context.steps = STEPS + 3
    outcome, first = run(part, context, **options)
    assert outcome == Interrupted()
    assert weights(part)["global_step"] == STEPS
    resumed, second = run(part, **options)
    assert resumed == whole
    assert metrics(first, second) == metrics(undisturbed)


def test_a_report_that_is_cut_off_is_made_again(tmp_path: Path) -> None:
    class Leaving(LocalContext):
        def report(self, value: float, step: int) -> bool:
            self.interrupted = True
            return False

    assert run(tmp_path, Leaving(tmp_path))[0] == Interrupted()
    again = LocalContext(tmp_path)
    run(tmp_path, again)
    assert [step for _, step in again.reports] == [STEPS * n for n in range(1, 5)]


def test_an_answered_report_is_not_made_again(tmp_path: Path) -> None:
    context = Answering(tmp_path)
    context.steps = STEPS + 2
    assert run(tmp_path, context)[0] == Interrupted()
    again = LocalContext(tmp_path)
    run(tmp_path, again)
    assert [step for _, step in [*context.reports, *again.reports]] == [STEPS * n for n in range(1, 5)]


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    outcome, _ = run(tmp_path)
    before = (tmp_path / "best.ckpt").stat().st_mtime_ns
    again, tracker = run(tmp_path)
    assert again == outcome
    assert tracker.metrics == {}
    assert (tmp_path / "best.ckpt").stat().st_mtime_ns == before


def test_a_pruned_run_is_not_run_again(tmp_path: Path) -> None:
    context = Answering(tmp_path)
    context.stop = 1
    outcome, _ = run(tmp_path, context)
    assert isinstance(outcome, Pruned)
    assert run(tmp_path)[0] == outcome


def test_another_configuration_is_not_continued(tmp_path: Path) -> None:
    context = Answering(tmp_path)
    context.steps = STEPS + 1
    assert run(tmp_path, context)[0] == Interrupted()
    with pytest.raises(ConfigError, match=r"last\.ckpt: left by a run with another configuration"):
        run(tmp_path, optimizer__lr=0.5)


def test_lightning_itself_resumes_from_the_last_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "whole", model__dropout=0.0)
    part = tmp_path / "part"
    context = Answering(part)
    context.steps = 2 * STEPS + 1
    run(part, context, model__dropout=0.0)
    built = build(config(model__dropout=0.0))
    trainer = Trainer(
        max_epochs=4,
        gradient_clip_val=1.0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.warns() as noticed:
        trainer.fit(built.task, datamodule=built.data, ckpt_path=part / "last.ckpt", weights_only=True)
    assert all(
        "TrialCallback" in str(warning.message) or "LeafSpec" in str(warning.message) for warning in noticed
    )
    assert equal(dict(built.task.state_dict()), weights(tmp_path / "whole")["state_dict"])
