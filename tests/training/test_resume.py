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
from training.tiny import STEPS, Answering, config

OPTIONS: dict[str, Any] = {"model__dropout": 0.3, "tracking__keep_checkpoints": "all"}
SCHEDULERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "cosine": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True, "T_max": 4},
    "plateau": {
        "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "_partial_": True,
        "patience": 0,
        "threshold": 0.5,
    },
}


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
