"""``seqsweep reproduce``: the same metrics for every task, and what is said where they are not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.stored_home import Home, refused, write_reviews
from data.test_cmapss import folder as write_engines
from seqsweep import paths
from seqsweep.cli import main

SHORT = ["model.hidden_size=8", "trainer.max_epochs=1", "tracking.log_model=false"]
LIMITED = ["+trainer.limit_train_batches=3", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]

GENERATED = {
    "seq2seq": ["data=scan_simple", "model=seq2seq", "data.eval_batch_size=16", *LIMITED],
    "tagging": ["data=copy_memory", "model=lstm", *LIMITED],
    "regression": ["data=adding", "model=rnn", *LIMITED],
    "remaining_useful_life": ["data=cmapss_fd001", "model=gru", "data.dataset=own", "data.val_share=0.34"],
}
"""Tasks that `end_to_end/test_own_files.py` has not, or with data that is generated."""


def train(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    assert main(["train", *overrides]) == 0
    printed = capsys.readouterr().out.splitlines()
    (run,) = (line.split()[1] for line in printed if line.startswith("run: "))
    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("task", GENERATED)
def test_the_same_bit_for_bit(
    task: str,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEQSWEEP_HOME", str(store))
    root = [f"data.root={write_engines(tmp_path)}"] if task == "remaining_useful_life" else []
    run = train(capsys, *GENERATED[task], *root, *SHORT)
    assert main(["reproduce", run]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("the same: ")
    assert "differs" not in printed
    assert main(["evaluate", run, "--json"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed[printed.index("{") :])  # Hydra's logging, set up by the training, speaks too
    assert found["metrics"] == found["recorded"]


def test_every_task_is_tried() -> None:
    """Here or with files of its own."""
    from end_to_end.test_own_files import KINDS

    chosen = [
        next(value for entry in config["defaults"] for key, value in entry.items() if "task" in key)
        for config in (
            yaml.safe_load((paths.shipped("conf") / "data" / f"{kind}.yaml").read_text()) for kind in KINDS
        )
    ]
    tasks = {path.stem for path in (paths.shipped("conf") / "task").glob("*.yaml")}
    assert {*chosen, *GENERATED} == tasks


def listing(home: Home) -> list[tuple[str, int]]:
    files = sorted(path for path in home.folder.rglob("*") if path.is_file() and "cache" not in path.parts)
    return [(str(path), path.stat().st_size) for path in files if not path.name.endswith(".lock")]


def test_nothing_is_recorded(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(home)
    assert main(["reproduce", home.run("Digits")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].endswith("bit for bit; nothing was recorded")
    assert "step      36  val/accuracy" in printed
    assert listing(home) == before


def test_a_changed_configuration_is_another_run(
    home: Home, changed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = changed.config("Digits", "optimizer.lr", 0.04)
    assert main(["reproduce", run]) == 1
    printed = capsys.readouterr().out
    assert "val/loss" in printed
    assert "from step 36: " in printed
    last = printed.splitlines()[-1]
    assert last.startswith("different: ")
    assert "with the versions, threads, device and data that were recorded; nothing was recorded" in last


def test_what_is_not_as_it_was_is_said_before(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    run = home.run("Digits")
    tags = {"seqsweep.version.torch": "1.0", "seqsweep.device": "NVIDIA H200"}
    with closing(sqlite3.connect(home.folder / "mlflow.db")) as store:
        own = dict(store.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
        change = "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = ?"
        store.executemany(change, [(value, run, key) for key, value in tags.items()])
        store.commit()
        try:
            assert main(["reproduce", run]) == 0
        finally:
            store.executemany(change, [(own[key], run, key) for key in tags])
            store.commit()
    lines = capsys.readouterr().out.splitlines()
    steps = next(place for place, line in enumerate(lines) if line.startswith("step "))
    assert f"differs torch: 1.0 -> {own['seqsweep.version.torch']}" in lines[:steps]
    assert "differs device: NVIDIA H200 -> cpu" in lines[:steps]


def test_other_data_is_said_before(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = write_reviews(tmp_path / "other.csv", 50)
    assert main(["reproduce", home.run("TextClassification"), f"data.train={other}"]) == 1
    assert "differs train data: digest " in capsys.readouterr().out


def test_overrides_that_make_another_run(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "reproduce", home.run("Digits"), "optimizer.lr=1")
    assert "optimizer.lr=1: makes it another run; `seqsweep train` trains one" in message
