"""A configuration from somewhere else: what it must not do, tried."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqsweep import paths
from seqsweep.errors import ConfigError
from seqsweep.training.stored_config import read_config, stored_config
from training.tiny import CONFIG

OURS: dict[str, Any] = CONFIG | {"data": {"_target_": "seqsweep.data.Digits", "batch_size": 8}}
CANARY = "seqsweep_canary"
"""A module whose import is seen."""


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{CANARY}.py").write_text("class Part:\n    def __init__(self, *given, **named): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, CANARY, raising=False)


def write(folder: Path, key: str, value: object) -> Path:
    config = copy.deepcopy(OURS)
    *groups, name = key.split(".")
    node = config
    for group in groups:
        node = node[group]
    node[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_our_own_is_read_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "seed", 7)
    assert read_config(tmp_path) == read_config(tmp_path, training=True) == OURS


PART = {"_target_": f"{CANARY}.Part"}
HOSTILE = [
    ("optimizer", {"_target_": f"{CANARY}.Part", "_partial_": True}),
    ("optimizer._target_", "os.system"),
    ("optimizer._target_", "functools.partial"),
    ("optimizer._target_", "torch.optim.optimizer.warnings.sys.exit"),
    ("optimizer._target_", "torch.optim.adam.Adam"),
    ("optimizer._target_", "torch.optim.Adam.load_state_dict"),
    ("optimizer._target_", "torch.load"),
    ("optimizer._target_", ["torch.optim.Adam"]),
    ("optimizer._target_", None),
    ("optimizer.betas", [PART, 0.9]),
    ("optimizer.lr", PART),
    ("optimizer.lr", {"deeper": [[PART]]}),
    ("optimizer", "torch.optim.Adam"),
    ("scheduler", {"_target_": "functools.partial", "_args_": [PART]}),
    ("scheduler", {"_target_": "torch.optim.lr_scheduler.LambdaLR", "lr_lambda": "x"}),
    ("scheduler", {"_target_": "torch.optim.lr_scheduler.StepLR", "optimizer": PART}),
    ("scheduler", {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": PART}),
    ("scheduler", []),
    ("trainer.callbacks", {"x": PART}),
    ("trainer.callbacks", [PART]),
    ("trainer.callbacks", [None, {"_target_": "lightning.pytorch.callbacks.LambdaCallback"}]),
    ("trainer.callbacks", "lightning.pytorch.callbacks.Timer"),
    ("trainer.callbacks", [["x"]]),
    ("trainer.callbacks", {"x": {"nested": PART}}),
    ("trainer.logger", PART),
    ("trainer.profiler", "advanced"),
    ("trainer.plugins", [PART]),
    ("trainer.default_root_dir", "/etc"),
    ("trainer.max_epochs", PART),
    ("trainer.model_registry", "x"),
    ("model._target_", f"{CANARY}.Part"),
    ("model.hidden_size", PART),
    ("model._args_", [PART]),
    ("data.root", {"_target_": "os.getcwd"}),
    ("data._partial_", True),
    ("model._partial_", False),
    ("task.loss", {"x": [{"y": PART}]}),
    ("task._target_", "seqsweep.models.GRU"),
    ("seed", "${oc.env:HOME}"),
    ("tracking.experiment", "${oc.decode:x}"),
    ("optimizer.lr", "${oc.env:HOME}"),
    ("optimizer.lr", "???"),
    ("tracking", "x"),
    ("threads", 10**9),
    ("threads", "many"),
    ("seed", [1]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=[f"{key}={value}"[:60] for key, value in HOSTILE])
def test_nothing_hostile_is_read_for_training(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_config(write(tmp_path, key, value), training=True)
    assert "\n" not in str(refusal.value)
    assert CANARY not in sys.modules


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: *a",
        "optimizer: !!python/object/apply:os.getcwd []",
        "optimizer: !!python/name:os.system",
        "model: !!omap [_target_: os.getcwd]",
        "[" * 5000,
        "1: 2",
        "a.b: 1",
        "",
        "data: {_target_: seqsweep.data.Digits",
        "\x00",
    ],
    ids=["alias", "apply", "name", "omap", "deep", "number", "dots", "empty", "truncated", "binary"],
)
def test_no_yaml_but_plain(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml") as refusal:
        read_config(tmp_path, training=True)
    assert "\n" not in str(refusal.value)


def test_a_stored_configuration_admits_nothing(tmp_path: Path) -> None:
    write(tmp_path, "optimizer._target_", f"{CANARY}.Part")
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    config["security"] = {"allow": [f"{CANARY}.Part"]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=rf"security\.allow=\[{CANARY}\.Part\] admits it"):
        read_config(tmp_path, training=True)
    assert CANARY not in sys.modules


@pytest.mark.parametrize("key", ["optimizer._target_", "trainer.callbacks", "model._target_"])
def test_what_the_user_admits(tmp_path: Path, key: str) -> None:
    write(tmp_path, key, f"{CANARY}.Part" if key.endswith("_target_") else {"x": PART})
    allow = f"security.allow=[{CANARY}.Part]"
    assert read_config(tmp_path, [allow], training=True) == read_config(
        tmp_path, allowed=[f"{CANARY}.Part"], training=True
    )


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        ("security.allow=[os.system]", "expected the full name of a class, in its own package"),
        ("security.allow=[torch.optim.optimizer.warnings.sys.exit]", "in its own package"),
        ("security.allow=[functools.partial]", "no-error"),
        (f"security.allow=[{CANARY}.Nothing]", "expected the full name of a class"),
        ("security.allow=3", "expected security.allow=[package.Class]"),
        ("security.allow={a: b}", "expected security.allow=[package.Class]"),
        ("security.allow=[1]", "expected security.allow=[package.Class]"),
        ("security.allow=[", "expected security.allow=[package.Class]"),
        ("security.allow=a,b", "expected security.allow=[package.Class]"),
    ],
)
def test_what_cannot_be_admitted(tmp_path: Path, allow: str, message: str) -> None:
    write(tmp_path, "seed", 7)
    if message == "no-error":  # a class like another, for those who ask for it
        assert read_config(tmp_path, [allow]) == OURS
        return
    with pytest.raises(ConfigError) as refusal:
        read_config(tmp_path, [allow])
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=1", "optimizer.lr=1: makes it another run; `seqsweep train` trains one"),
        ("model.hidden_size=8", "makes it another run"),
        ("data.rot=x", "the run's configuration has no such key"),
        ("threads", "expected key=value"),
    ],
)
def test_overrides_that_make_another_run(tmp_path: Path, override: str, message: str) -> None:
    write(tmp_path, "seed", 7)
    with pytest.raises(ConfigError) as refusal:
        read_config(tmp_path, [override], training=True)
    assert message in str(refusal.value)


@pytest.mark.parametrize("group", ["optimizer", "scheduler"])
def test_whatever_we_ship_may_be_trained_again(tmp_path: Path, group: str) -> None:
    for file in (paths.shipped("conf") / group).glob("*.yaml"):
        node = yaml.safe_load(file.read_text())
        if "_target_" in node:
            plain = {key: value for key, value in node.items() if "${" not in str(value)}
            assert read_config(write(tmp_path, group, plain), training=True)[group] == plain


def test_the_shipped_trainer_may_be_set_as_it_is(tmp_path: Path) -> None:
    node = yaml.safe_load((paths.shipped("conf") / "trainer" / "default.yaml").read_text())
    assert read_config(write(tmp_path, "trainer", node), training=True)["trainer"] == node


def test_to_look_at_it_nothing_is_made(tmp_path: Path) -> None:
    write(tmp_path, "optimizer", PART)
    assert stored_config(tmp_path)["optimizer"] == PART
    assert CANARY not in sys.modules


def test_checkpoints_are_read_for_tensors_only_everywhere() -> None:
    """The source holds no other way to read one."""
    for text in (path.read_text() for path in (Path(__file__).parents[2] / "src").rglob("*.py")):
        for place in ("torch.load(", "ckpt_path="):
            for call in text.split(place)[1:]:
                assert "weights_only=True" in call.partition("\n")[0]
