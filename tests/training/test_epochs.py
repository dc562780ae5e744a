"""An epoch at a time and Lightning's own way: the same run, whichever is taken, and when which is taken."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from seqsweep.data import Batch
from seqsweep.protocol import Complete, Interrupted, LocalContext, Outcome
from seqsweep.tasks import Classification
from seqsweep.tracking import MemoryTracker
from seqsweep.training import Goal, build, train
from training import texts
from training.test_resume import SCHEDULERS, DyingBetween, Killed, equal, metrics
from training.tiny import STEPS, Answering, config

WHOLE = "an epoch at a time"


class Watching(Callback):
    """Wants to see every batch, and does nothing: for its sake every batch is Lightning's own."""

    def on_train_batch_end(self, *args: Any) -> None:
        pass


class Given(Callback):
    """Its hook is the instance's, as `LambdaCallback`'s are."""

    def __init__(self) -> None:
        self.on_after_backward = lambda *_: None  # type: ignore[method-assign]


class Patient(Callback):
    """Something to do between two epochs, which is nobody's hindrance."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.accumulate_grad_batches = 1 + trainer.current_epoch


class OwnStep(Classification):
    """A user's task with a training step of its own."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return 2 * super().training_step(batch, batch_idx)


def callback(name: str, **options: Any) -> dict[str, Any]:
    known = name if "." in name else f"training.test_epochs.{name}"
    return {"_target_": known, **options}


LIGHTNING = "lightning.pytorch.callbacks"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fused": {"optimizer__fused": True},
    "momentum": {"optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1, "momentum": 0.9}},
    "no clipping": {"trainer__gradient_clip_val": None},
    "by value": {"trainer__gradient_clip_val": 0.01, "trainer__gradient_clip_algorithm": "value"},
    "accumulating": {"trainer__accumulate_grad_batches": 3},
    "accumulating more and more": {"trainer__callbacks": [callback("Patient")]},
    "scheduled accumulation": {
        "trainer__callbacks": [callback(f"{LIGHTNING}.GradientAccumulationScheduler", scheduling={1: 3})]
    },
    "seldom validated": {"trainer__check_val_every_n_epoch": 2},
    "shortened": {"trainer__limit_train_batches": 5},
    "half precision": {"trainer__precision": "bf16-mixed"},
    "stopping": {
        "trainer__callbacks": [
            callback(f"{LIGHTNING}.EarlyStopping", monitor="val/loss", min_delta=9.0, patience=1)
        ]
    },
    "averaging": {
        "trainer__callbacks": [
            callback(f"{LIGHTNING}.StochasticWeightAveraging", swa_lrs=0.1, swa_epoch_start=1)
        ]
    },
    **{name: {"scheduler": scheduler} for name, scheduler in SCHEDULERS.items() if scheduler},
    "a schedule over accumulated steps": {
        "scheduler": SCHEDULERS["one_cycle"],
        "trainer__accumulate_grad_batches": 3,
    },
    "generating": {
        "data": {"_target_": "training.pairs.Copying", "batch_size": 40, "seed": 0},
        "model": {"_target_": "seqsweep.models.Seq2Seq", "_partial_": True, "hidden_size": 8, "dropout": 0.2},
        "task": {"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True, "teacher_forcing": 0.5},
    },
}


def run(
    directory: Path, context: LocalContext | None = None, batchwise: bool = False, **options: Any
) -> tuple[Outcome, MemoryTracker]:
    directory.mkdir()
    tracker = MemoryTracker()
    made = config(**{"trainer__log_every_n_steps": 1, "trainer__max_epochs": 3, **options})
    made["tracking"]["keep_checkpoints"] = "all"
    if batchwise:
        made["trainer"]["callbacks"] = [*made["trainer"].get("callbacks", []), callback("Watching")]
    outcome = train(build(made), context=context or LocalContext(directory), tracker=tracker)
    return outcome, tracker


def checkpoint(directory: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """All that is in it, without the times and the configuration."""
    found: dict[str, Any] = torch.load(directory / name, weights_only=True)
    del found["seqsweep"]
    for state in found.get("callbacks", {}).values():
        state.get("progress", {}).pop("seconds", None)
        if isinstance(losses := state.get("losses"), Tensor):
            state["losses"] = losses.nan_to_num()  # a batch without a step has no norm
    return found


@pytest.mark.parametrize("kind", [*KINDS, "carrying on"])
def test_the_results_are_lightnings_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    options = texts.config(tmp_path) if kind == "carrying on" else {"model__dropout": 0.3} | KINDS[kind]
    if "model" in options:
        options.pop("model__dropout", None)
    outcome, tracker = run(tmp_path / "whole", **options)
    theirs, by_batch = run(tmp_path / "batchwise", batchwise=True, **options)
    assert isinstance(outcome, Complete), outcome
    assert tracker.tags["seqsweep.steps"] == WHOLE
    assert by_batch.tags["seqsweep.steps"] == "Lightning's own, since Watching has on_train_batch_end"
    assert outcome == theirs
    assert metrics(tracker) == metrics(by_batch)
    for name in ("last.ckpt", "best.ckpt"):
        assert equal(checkpoint(tmp_path / "whole", name), checkpoint(tmp_path / "batchwise", name))


@pytest.mark.parametrize(
    "options", [{}, {"trainer__accumulate_grad_batches": 3}, {"scheduler": SCHEDULERS["one_cycle"]}]
)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_checkpoint_from_within_an_epoch_is_the_one_lightning_would_write(
    tmp_path: Path, steps: int, options: dict[str, Any]
) -> None:
    for batchwise in (False, True):
        context = Answering(tmp_path / str(batchwise))
        context.steps = steps
        assert run(tmp_path / str(batchwise), context, batchwise, **options)[0] == Interrupted()
    assert equal(checkpoint(tmp_path / "False"), checkpoint(tmp_path / "True"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trainer__callbacks": [callback("Watching")]}, "Watching has on_train_batch_end"),
        ({"trainer__enable_progress_bar": True}, "[A-Za-z]+ProgressBar has on_train_batch_[a-z]+"),
        ({"trainer__profiler": "simple"}, "a SimpleProfiler measures each step"),
        ({"data": {"_target_": "training.tiny.Forgetful"}}, "the batches come from a DataLoader"),
        (
            {"task": {"_target_": "training.test_epochs.OwnStep", "_partial_": True}},
            "OwnStep has its own training_step",
        ),
        ({"trainer__callbacks": [callback("Given")]}, "Given has on_after_backward"),
    ],
    ids=["callback", "progress bar", "profiler", "loader", "task", "given"],
)
def test_what_needs_lightnings_own_has_it(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    outcome, tracker = run(tmp_path / "run", **{"trainer__max_epochs": 1} | options)
    assert isinstance(outcome, Complete), outcome
    assert re.fullmatch(f"Lightning's own, since {reason}", tracker.tags["seqsweep.steps"])


def test_a_run_is_left_between_two_steps_when_the_process_is_told_to_end(tmp_path: Path) -> None:
    class Ending(LocalContext):
        looks = 0

        @property
        def interrupted(self) -> bool:  # type: ignore[override]
            self.looks += 1
            if self.looks == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return False

        @interrupted.setter
        def interrupted(self, value: bool) -> None:
            pass

    outcome, tracker = run(tmp_path / "run", Ending(tmp_path / "run"))
    assert outcome == Interrupted()
    assert [step for step, _ in tracker.metrics["train/loss"]] == [1, 2, 3]


@pytest.mark.parametrize("binding", [True, False])
def test_a_report_that_does_not_bind_waits_for_no_checkpoint(tmp_path: Path, binding: bool) -> None:
    context = DyingBetween(tmp_path)
    context.at = STEPS + 3
    with pytest.raises(Killed):
        train(
            build(config()),
            context=context,
            tracker=MemoryTracker(),
            goal=Goal("val/accuracy", "maximize", binding=binding),
        )
    assert [step for _, step in context.reports] == [STEPS]
    assert (tmp_path / "last.ckpt").is_file() == binding
    assert (tmp_path / "best.ckpt").is_file()


@pytest.mark.parametrize(
    "clip", [{}, {"gradient_clip_val": 0.05}, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}]
)
def test_a_fused_optimiser_clips_what_is_not_scaled(clip: dict[str, Any]) -> None:
    weights: dict[bool, Tensor] = {}
    norms: dict[bool, float] = {}
    for fused in (False, True):
        built = build(config(optimizer__fused=fused))
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[MixedPrecision("16-mixed", "cpu")],
            **clip,
        )
        trainer.fit(built.task, built.data)
        weights[fused] = nn.utils.parameters_to_vector(built.model.parameters())
        norms[fused] = float(built.task.gradient_norm)
    assert torch.allclose(weights[True], weights[False], atol=1e-5)
    assert norms[True] == pytest.approx(norms[False], rel=1e-2)
    assert norms[True] < 100  # and not 65536 times as much
