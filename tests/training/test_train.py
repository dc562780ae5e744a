from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from seqsweep import training
from seqsweep.errors import ConfigError, DataError
from seqsweep.protocol import Complete, LocalContext, Pruned, Slot
from seqsweep.tasks import Classification
from seqsweep.tracking import MemoryTracker
from seqsweep.training import Goal, build, folder, train
from training.tiny import SCHEDULERS, STEPS, Answering, config, tiny

ENDS = [STEPS * epoch for epoch in range(1, 5)]


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


def test_a_run_is_recorded(tmp_path: Path, tracker: MemoryTracker) -> None:
    context = LocalContext(tmp_path)
    outcome = train(tiny(), context=context, tracker=tracker)
    assert isinstance(outcome, Complete)
    assert tracker.state == "complete"

    accuracy = dict(tracker.metrics["val/accuracy"])
    assert list(accuracy) == ENDS
    assert [step for step, _ in tracker.metrics["train/loss"]] == [
        3,
        6,
        8,
        9,
        12,
        15,
        16,
        18,
        21,
        24,
        27,
        30,
        32,
    ]
    assert set(outcome.detail) == {
        *Classification.metrics,
        "test/loss",
        "test/accuracy",
        "test/macro_f1",
        "test/auroc",
    }
    assert outcome.values == (max(accuracy.values()),)
    [(best_step, best)] = tracker.metrics["best/val/accuracy"]
    assert best == outcome.values[0] == accuracy[best_step]
    assert best_step == min(step for step, value in accuracy.items() if value == best)
    for name in Classification.metrics:
        assert tracker.last(f"best/{name}") == dict(tracker.metrics[name])[best_step] == outcome.detail[name]
    assert tracker.last("system/steps_per_second") > 0
    assert context.reports == [(value, step) for step, value in accuracy.items()]

    assert tracker.params["optimizer.lr"] == 0.02
    assert tracker.params["model._target_"] == "seqsweep.models.GRU"
    assert tracker.tags["seqsweep.device"] == "cpu"
    assert tracker.tags["seqsweep.threads"] == str(torch.get_num_threads())
    assert [path.name for path, _ in tracker.artifacts] == [
        "config.yaml",
        "data.json",
        "confusion.png",
        "best.ckpt",
    ]
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == config()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".seqsweep",
        "best.ckpt",
        "config.yaml",
        "data.json",
        "pictures",
    ]


def test_a_run_is_a_function_of_its_configuration(tmp_path: Path) -> None:
    runs = []
    for name, noise in (("a", 1), ("b", 2)):
        torch.manual_seed(noise)
        (tmp_path / name).mkdir()
        tracker = MemoryTracker()
        built = tiny(model__dropout=0.3)
        before = torch.get_rng_state()
        train(built, context=LocalContext(tmp_path / name), tracker=tracker)
        assert torch.equal(before, torch.get_rng_state())
        runs.append({key: value for key, value in tracker.metrics.items() if not key.startswith("system/")})
    assert runs[0] == runs[1]


@pytest.mark.parametrize(("share", "asked", "used"), [(1, None, 1), (2, None, 2), (1, 2, 2)])
def test_threads_are_the_slots_share_or_what_is_asked_for(
    tmp_path: Path, tracker: MemoryTracker, share: int, asked: int | None, used: int
) -> None:
    before = torch.get_num_threads()
    try:
        context = LocalContext(tmp_path, slot=Slot(id=0, threads=share))
        train(build(config() | {"threads": asked}), context=context, tracker=tracker)
        assert torch.get_num_threads() == used
    finally:
        torch.set_num_threads(before)
    assert tracker.tags["seqsweep.threads"] == str(used)


def test_the_best_checkpoint_is_plain(tmp_path: Path, tracker: MemoryTracker) -> None:
    outcome = train(tiny(), context=LocalContext(tmp_path), tracker=tracker)
    assert isinstance(outcome, Complete)
    checkpoint = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert checkpoint["seqsweep"]["config"] == config()
    assert checkpoint["seqsweep"]["spec"]["output_size"] == 2
    assert "optimizer_states" not in checkpoint
    built = tiny(seed=99)
    loaded = Classification.load_from_checkpoint(
        tmp_path / "best.ckpt",
        model=built.model,
        spec=built.spec,
        optimizer=torch.optim.Adam,
        weights_only=True,
    )
    measures = loaded.make_measures()
    for batch in built.data.val_dataloader():
        loaded.measure(measures, batch)
    assert measures["accuracy"].compute().item() == outcome.values[0]


def test_a_goal_of_ones_own(tmp_path: Path, tracker: MemoryTracker) -> None:
    context = LocalContext(tmp_path)
    goal = Goal("val/loss", "minimize", test=False, report=False)
    outcome = train(tiny(), context=context, tracker=tracker, goal=goal)
    assert isinstance(outcome, Complete)
    assert outcome.values == (min(value for _, value in tracker.metrics["val/loss"]),)
    assert context.reports == []
    assert not any(name.startswith("test/") for name in tracker.metrics)


def test_several_objectives_are_taken_where_the_first_is_best(tmp_path: Path, tracker: MemoryTracker) -> None:
    # learns too fast: its lowest loss and its highest accuracy are not at one validation
    built = tiny(optimizer__lr=0.1)
    goal = Goal("val/accuracy", "maximize", ["val/loss", "val/macro_f1"])  # type: ignore[arg-type]
    outcome = train(built, context=LocalContext(tmp_path), tracker=tracker, goal=goal)
    assert isinstance(outcome, Complete)
    [(best_step, accuracy)] = tracker.metrics["best/val/accuracy"]
    losses = dict(tracker.metrics["val/loss"])
    assert outcome.values == (accuracy, losses[best_step], dict(tracker.metrics["val/macro_f1"])[best_step])
    assert losses[best_step] > min(losses.values())
    again = train(tiny(optimizer__lr=0.1), context=LocalContext(tmp_path), tracker=tracker, goal=goal)
    assert again == outcome


def test_a_metric_that_the_task_does_not_log(tmp_path: Path, tracker: MemoryTracker) -> None:
    with pytest.raises(ConfigError) as caught:
        train(tiny(), context=LocalContext(tmp_path), tracker=tracker, goal=Goal("val/acuracy"))
    assert str(caught.value) == (
        "metric=val/acuracy: the task logs val/loss, val/accuracy, val/macro_f1, val/auroc; did you mean 'val/accuracy'?"
    )
    also = Goal("val/accuracy", "maximize", ("val/los",))
    with pytest.raises(ConfigError, match=r"^metric=val/los: the task logs .*; did you mean 'val/loss'\?$"):
        train(tiny(), context=LocalContext(tmp_path), tracker=tracker, goal=also)
    assert list(tmp_path.iterdir()) == []


def test_pruned(tmp_path: Path, tracker: MemoryTracker) -> None:
    context = Answering(tmp_path)
    context.stop = 2
    outcome = train(tiny(), context=context, tracker=tracker)
    values = [value for _, value in tracker.metrics["val/accuracy"]]
    assert len(values) == 2
    assert outcome == Pruned(max(values))
    assert tracker.state == "pruned"
    assert tracker.last("best/val/accuracy") == max(values)
    assert (tmp_path / "best.ckpt").is_file()
    assert not (tmp_path / "last.ckpt").exists()


def test_pruned_at_the_last_validation(tmp_path: Path, tracker: MemoryTracker) -> None:
    context = Answering(tmp_path)
    context.stop = 4
    assert isinstance(train(tiny(), context=context, tracker=tracker), Pruned)


def test_a_checkpoint_is_written_before_its_report_leaves(tmp_path: Path, tracker: MemoryTracker) -> None:
    class Looking(LocalContext):
        def report(self, value: float, step: int) -> bool:
            last = torch.load(self.directory / "last.ckpt", weights_only=True)
            assert last["global_step"] == step
            assert (self.directory / "best.ckpt").is_file()
            seen.append(step)
            return True

    seen: list[int] = []
    train(tiny(), context=Looking(tmp_path), tracker=tracker)
    assert seen == ENDS


def test_all_checkpoints_are_kept_on_request(tmp_path: Path, tracker: MemoryTracker) -> None:
    train(tiny(tracking__keep_checkpoints="all"), context=LocalContext(tmp_path), tracker=tracker)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == ENDS[-1]


class Watching(Callback):
    """A user's callback that looks for the metrics under their names."""

    seen: list[dict[str, float]] = []  # noqa: RUF012 - emptied by the test

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_users_callbacks_see_the_metrics(tmp_path: Path, tracker: MemoryTracker) -> None:
    Watching.seen.clear()
    callbacks = [
        {"_target_": "training.test_train.Watching"},
        {
            "_target_": "lightning.pytorch.callbacks.EarlyStopping",
            "monitor": "val/loss",
            "stopping_threshold": 1e9,
        },
    ]
    # the module that the target names is imported anew: it is not this one
    outcome = train(tiny(trainer__callbacks=callbacks), context=LocalContext(tmp_path), tracker=tracker)
    assert isinstance(outcome, Complete)
    assert [step for step, _ in tracker.metrics["val/loss"]] == [STEPS]
    from training import test_train

    assert set(test_train.Watching.seen[0]) == set(Classification.metrics)


class Noting(Callback):
    """A user's callback that logs by either of Lightning's ways."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert trainer.logger is not None
        trainer.logger.log_metrics({"train/noted": trainer.current_epoch}, trainer.global_step)
        assert trainer.log_dir == trainer.default_root_dir
        pl_module.log("logged", float(trainer.current_epoch))


def test_what_users_callbacks_log_is_recorded(tmp_path: Path, tracker: MemoryTracker) -> None:
    callbacks = [
        {"_target_": "training.test_train.Noting"},
        {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor", "logging_interval": "step"},
    ]
    changes = {"trainer__log_every_n_steps": 1, "scheduler": SCHEDULERS["one_cycle"]}
    train(tiny(trainer__callbacks=callbacks, **changes), context=LocalContext(tmp_path), tracker=tracker)
    rates = [value for _, value in tracker.metrics["lr-Adam"]]
    assert len(rates) == 4 * STEPS
    assert rates[0] < max(rates) > rates[-1]
    assert tracker.metrics["train/noted"] == [(end, float(epoch)) for epoch, end in enumerate(ENDS)]
    assert [value for _, value in tracker.metrics["logged"]] == [0.0, 1.0, 2.0, 3.0]
    assert "epoch" not in tracker.metrics
    without = MemoryTracker()
    (tmp_path / "without").mkdir()
    train(tiny(**changes), context=LocalContext(tmp_path / "without"), tracker=without)
    for name in ("train/loss", "val/loss", "val/accuracy"):
        assert tracker.metrics[name] == without.metrics[name]


def test_validation_now_and_then(tmp_path: Path, tracker: MemoryTracker) -> None:
    context = LocalContext(tmp_path)
    train(tiny(trainer__check_val_every_n_epoch=2), context=context, tracker=tracker)
    assert [step for step, _ in tracker.metrics["val/loss"]] == [ENDS[1], ENDS[3]]
    assert set(ENDS) <= {step for step, _ in tracker.metrics["train/loss"]}
    assert [step for _, step in context.reports] == [ENDS[1], ENDS[3]]


def test_accumulation_counts_optimiser_steps(tmp_path: Path, tracker: MemoryTracker) -> None:
    built = tiny(trainer__accumulate_grad_batches=3, trainer__max_epochs=3, trainer__log_every_n_steps=1)
    train(built, context=LocalContext(tmp_path), tracker=tracker)
    assert [step for step, _ in tracker.metrics["train/loss"]] == list(range(1, 10))
    assert [step for step, _ in tracker.metrics["val/loss"]] == [3, 6, 9]


def test_accumulated_batches_have_the_loss_and_the_norm_that_they_have_alone(tmp_path: Path) -> None:
    found = {}
    for batches, size in ((1, 64), (4, 16)):
        tracker = MemoryTracker()
        (tmp_path / str(batches)).mkdir()
        built = tiny(
            data__batch_size=size,
            trainer__accumulate_grad_batches=batches,
            trainer__max_epochs=1,
            optimizer__lr=1e-9,
        )
        train(built, context=LocalContext(tmp_path / str(batches)), tracker=tracker)
        found[batches] = {name: tracker.last(name) for name in ("train/loss", "train/gradient_norm")}
    assert found[4] == pytest.approx(found[1], rel=1e-4)


def test_a_plateau_is_watched_where_there_is_a_validation(tmp_path: Path, tracker: MemoryTracker) -> None:
    plateau = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "_partial_": True}
    built = tiny(trainer__check_val_every_n_epoch=2, scheduler=plateau)
    assert isinstance(train(built, context=LocalContext(tmp_path), tracker=tracker), Complete)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", 64, "half", "transformer-engine"])
def test_precisions_that_batches_do_not_have(precision: Any) -> None:
    with pytest.raises(
        ConfigError, match=rf"trainer\.precision={precision}: expected one of 32-true, 16-mixed"
    ):
        tiny(trainer__precision=precision)


@pytest.mark.parametrize(
    "scheduler",
    [
        {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True, "T_max": 4},
        {
            "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
            "_partial_": True,
            "patience": 0,
            "threshold": 9.0,
        },
    ],
)
def test_schedules_are_stepped_once_an_epoch(
    tmp_path: Path, tracker: MemoryTracker, scheduler: dict[str, Any]
) -> None:
    built = tiny(scheduler=scheduler, tracking__keep_checkpoints="all")
    train(built, context=LocalContext(tmp_path), tracker=tracker)
    rate = torch.load(tmp_path / "last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0][
        "lr"
    ]
    if "T_max" in scheduler:
        assert rate == pytest.approx(0, abs=1e-9)
    else:
        assert rate == pytest.approx(0.02 * 0.1**4)


def test_test_of_a_finished_run(tmp_path: Path, tracker: MemoryTracker) -> None:
    goal = Goal("val/accuracy", "maximize", test=False)
    train(tiny(), context=LocalContext(tmp_path), tracker=tracker, goal=goal)
    metrics = training.test(tiny(), directory=tmp_path, tracker=tracker)
    assert set(metrics) == {"test/loss", "test/accuracy", "test/macro_f1", "test/auroc"}
    assert tracker.metrics["test/accuracy"] == [
        (tracker.metrics["best/val/loss"][0][0], metrics["test/accuracy"])
    ]
    (tmp_path / "best.ckpt").unlink()
    with pytest.raises(DataError, match=r"best\.ckpt: no such checkpoint"):
        training.test(tiny(), directory=tmp_path, tracker=tracker)


def test_nothing_is_said_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tiny(), context=LocalContext(tmp_path), tracker=MemoryTracker())
    assert capfd.readouterr() == ("", "")


def test_goal() -> None:
    goal = Goal("val/loss", "minimize")
    assert goal.better(1.0, None)
    assert goal.better(1.0, 2.0)
    assert not goal.better(2.0, 2.0)
    assert not goal.better(math.nan, None)
    assert Goal.of(Classification) == Goal("val/accuracy", "maximize", test=True, report=True)
    with pytest.raises(ConfigError, match="direction=up: expected one of minimize, maximize"):
        Goal("val/loss", "up")  # type: ignore[arg-type]


def test_seq2seq_trains(tmp_path: Path, tracker: MemoryTracker) -> None:
    built = build(
        config(
            data={"_target_": "training.pairs.Copying", "batch_size": 16, "seed": 0},
            model={
                "_target_": "seqsweep.models.Seq2Seq",
                "_partial_": True,
                "hidden_size": 32,
                "dropout": 0.1,
            },
            task={"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True, "teacher_forcing": 0.9},
            trainer__max_epochs=12,
        )
    )
    outcome = train(built, context=LocalContext(tmp_path), tracker=tracker)
    assert isinstance(outcome, Complete), outcome
    assert outcome.values[0] > 0.8
    assert outcome.detail["test/exact_match"] > 0.8


def test_the_gradients_norm_is_recorded_as_it_was_before_clipping(tmp_path: Path) -> None:
    norms = {}
    for clip in (None, 1e-9):
        folder = tmp_path / str(clip)
        folder.mkdir()
        tracker = MemoryTracker()
        options = {
            "trainer__gradient_clip_val": clip,
            "trainer__max_epochs": 1,
            "trainer__log_every_n_steps": 1,
        }
        train(tiny(**options), context=LocalContext(folder), tracker=tracker)
        norms[clip] = tracker.metrics["train/gradient_norm"]
    assert norms[None][0] == norms[1e-9][0]
    assert norms[None][0][1] > 1e-3


def test_patience_ends_a_run_that_gets_no_better(tmp_path: Path) -> None:
    tracker = MemoryTracker()
    built = tiny(optimizer__lr=1e-12, trainer__max_epochs=50, trainer__patience=3)
    outcome = train(built, context=LocalContext(tmp_path), tracker=tracker)
    assert isinstance(outcome, Complete)
    assert [step for step, _ in tracker.metrics["val/accuracy"]] == [STEPS, 2 * STEPS, 3 * STEPS, 4 * STEPS]


def test_a_run_that_was_killed_when_its_patience_had_ended_is_over(tmp_path: Path) -> None:
    options = {"optimizer__lr": 1e-12, "trainer__max_epochs": 50, "trainer__patience": 1}
    options |= {"tracking__keep_checkpoints": "all"}
    train(tiny(**options), context=LocalContext(tmp_path), tracker=MemoryTracker())
    (tmp_path / folder.OUTCOME).unlink()
    tracker = MemoryTracker()
    assert isinstance(train(tiny(**options), context=LocalContext(tmp_path), tracker=tracker), Complete)
    assert "val/accuracy" not in tracker.metrics
