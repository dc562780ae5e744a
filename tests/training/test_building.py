from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seqsweep.errors import ConfigError, DataError
from seqsweep.training import build
from training.tiny import config, tiny


def test_weights_follow_from_the_seed_alone() -> None:
    first = tiny().model.state_dict()
    torch.manual_seed(123)
    torch.rand(10)
    again = tiny().model.state_dict()
    other = tiny(seed=8).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_building_draws_nothing_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state()
    tiny(
        scheduler={"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "_partial_": True, "patience": 1}
    )
    assert torch.equal(before, torch.get_rng_state())
    assert list(tmp_path.iterdir()) == []


NOT_A_NUMBER = "expected a number above 0"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"seed": -1}, "seed=-1: expected an integer of at least 0"),
    ({"model": None}, "model=None: expected a configuration with its keys"),
    ({"model__hidden_size": 0}, "model.hidden_size=0: expected an integer of at least 1"),
    ({"model__hiden_size": 4}, "model.hiden_size=4: GRU takes "),
    ({"model___target_": None}, "model._target_=None: expected the full name of a class"),
    ({"data__batch_size": -1}, "data.batch_size=-1: expected an integer of at least 1"),
    ({"optimizer__lr": "abc"}, f"optimizer.lr=abc: {NOT_A_NUMBER}"),
    ({"optimizer__lr": 0}, f"optimizer.lr=0: {NOT_A_NUMBER}"),
    ({"optimizer__weight_decay": -1.0}, "optimizer.weight_decay=-1.0: expected a number of at least 0"),
    ({"optimizer__betas": [0.9, 1.5]}, "optimizer: Invalid beta parameter at index 1: 1.5"),
    ({"trainer__max_epochs": 0}, "trainer.max_epochs=0: expected an integer of at least 1"),
    ({"trainer__gradient_clip_val": -1}, "trainer.gradient_clip_val=-1: expected a number above 0"),
    (
        {"trainer__max_epoch": 3},
        "trainer.max_epoch=3: Lightning's Trainer has no such argument; did you mean 'max_epochs'?",
    ),
    ({"trainer__logger": True}, "trainer.logger=True: not to be set here: runs are recorded by seqsweep"),
    ({"trainer__devices": 2}, "trainer.devices=2: expected 1; for more, hydra.launcher.devices_per_trial"),
    ({"trainer__accelerator": "abacus"}, "trainer.accelerator=abacus: "),
    ({"trainer__precision": "8-bit"}, "trainer.precision=8-bit: "),
    ({"trainer__check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch=0: expected an integer"),
    ({"tracking__keep_checkpoints": "some"}, "tracking.keep_checkpoints=some: expected one of best, all"),
    (
        {"scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step": 3}},
        "scheduler.step=3: StepLR takes step_size, gamma, last_epoch; did you mean 'step_size'?",
    ),
    (
        {
            "trainer__callbacks": {
                "stop": {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitr": "x"}
            }
        },
        "trainer.callbacks.stop.monitr=x: EarlyStopping takes ",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[next(iter(changes)) for changes, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(config(**changes))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("seqsweep.models.GRUU", "GRUU"),
        ("no.such.module", "No module named 'no'"),
        ("nodots", "nodots"),
        ("seqsweep.models", "expected the full name of a class"),
    ],
)
def test_a_target_that_does_not_exist(target: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(config(model___target_=target))
    assert str(caught.value).startswith(f"model._target_={target}: expected the full name of a class")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_a_data_error(tmp_path: Path) -> None:
    data = {"_target_": "seqsweep.data.MnistRows", "batch_size": 8, "root": str(tmp_path)}
    with pytest.raises(DataError, match="mnist"):
        build(config(data=data))


def test_a_task_that_does_not_suit_the_data() -> None:
    with pytest.raises(
        ConfigError, match=r"^task\._target_=seqsweep\.tasks\.Seq2Seq: expected task=classification"
    ):
        build(config(task={"_target_": "seqsweep.tasks.Seq2Seq", "_partial_": True}))


def test_callbacks_by_name_and_by_list() -> None:
    stop = {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitor": "val/loss"}
    for callbacks in ({"stop": stop, "none": None}, [stop]):
        [made] = tiny(trainer__callbacks=callbacks).trainer["callbacks"]
        assert made.monitor == "val/loss"
