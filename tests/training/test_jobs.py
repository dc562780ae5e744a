from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqsweep.protocol import Complete, Failed, Infeasible, LocalContext
from seqsweep.training import jobs
from training.tiny import config, faulty

METRICS = ["val/loss", "val/accuracy", "val/macro_f1", "val/auroc"]


def spooled(directory: Path) -> str:
    return (directory / ".seqsweep" / "spool.jsonl").read_text()


def test_run_then_test(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    goal = {"metric": "val/accuracy", "direction": "maximize", "test": False, "report": True}
    outcome = jobs.run({"config": config(), "goal": goal}, context)
    assert isinstance(outcome, Complete)
    assert list(outcome.detail) == METRICS
    assert len(context.reports) == 4
    before = spooled(tmp_path)
    for key in ("val/accuracy", "best/val/accuracy", "optimizer.lr", "config.yaml", "best.ckpt"):
        assert key in before
    assert "test/accuracy" not in before
    tested = jobs.test({"config": config()}, context)
    assert isinstance(tested, Complete)
    assert set(tested.detail) == {"test/loss", "test/accuracy", "test/macro_f1", "test/auroc"}
    assert spooled(tmp_path).startswith(before)
    assert "test/accuracy" in spooled(tmp_path)
    assert all(json.loads(line) for line in spooled(tmp_path).splitlines())


def test_several_objectives(tmp_path: Path) -> None:
    goal = {"metric": "val/accuracy", "direction": "maximize", "also": ["val/loss"], "test": False}
    outcome = jobs.run({"config": config(), "goal": goal}, LocalContext(tmp_path))
    assert isinstance(outcome, Complete)
    assert outcome.values == (outcome.detail["val/accuracy"], outcome.detail["val/loss"])
    assert jobs.run({"config": config(), "goal": goal}, LocalContext(tmp_path)) == outcome
    wrong = jobs.run({"config": config(), "goal": goal | {"also": ["val/x"]}}, LocalContext(tmp_path))
    assert isinstance(wrong, Failed)
    assert wrong.usage


def test_the_tasks_own_goal_is_the_default(tmp_path: Path) -> None:
    outcome = jobs.run({"config": config()}, LocalContext(tmp_path))
    assert isinstance(outcome, Complete)
    assert set(outcome.detail) == {*METRICS, "test/loss", "test/accuracy", "test/macro_f1", "test/auroc"}


def test_check_trains_nothing_and_writes_nothing(tmp_path: Path) -> None:
    outcome = jobs.check({"configs": [config(), config()], "metrics": ["val/loss"]}, LocalContext(tmp_path))
    assert outcome == Complete(detail=METRICS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"configs": [config(), config(optimizer__lr="abc")]}, "optimizer.lr=abc: expected a number above 0"),
        (
            {"configs": [config()], "metrics": ["val/acc"]},
            "metric=val/acc: the task logs val/loss, val/accuracy, val/macro_f1, val/auroc; did you mean 'val/auroc'?",
        ),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, payload: dict[str, Any], text: str) -> None:
    assert jobs.check(payload, LocalContext(tmp_path)) == Failed(text, usage=True)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_writes_nothing(tmp_path: Path) -> None:
    wrong = config(model__hidden_size=0)
    text = "model.hidden_size=0: expected an integer of at least 1"
    assert jobs.run({"config": wrong}, LocalContext(tmp_path)) == Failed(text, usage=True)
    bad_goal = {"metric": "val/x", "direction": "maximize"}
    outcome = jobs.run({"config": config(), "goal": bad_goal}, LocalContext(tmp_path))
    assert isinstance(outcome, Failed)
    assert outcome.usage
    assert outcome.text.startswith("metric=val/x: the task logs")
    assert jobs.test({"config": config()}, LocalContext(tmp_path)) == Failed(
        f"{tmp_path / 'best.ckpt'}: no such checkpoint; the run has none to test", usage=True
    )


def test_a_model_too_large_to_build_is_infeasible(tmp_path: Path) -> None:
    outcome = jobs.run({"config": config(model__hidden_size=10**7)}, LocalContext(tmp_path))
    assert isinstance(outcome, Infeasible)
    assert "memory" in outcome.reason


def test_outcomes_pass_through(tmp_path: Path) -> None:
    assert isinstance(jobs.run({"config": faulty("memory")}, LocalContext(tmp_path)), Infeasible)


FORK = """
import importlib, os
from seqsweep.cli.executors import OURS
for name in OURS:
    importlib.import_module(name)
import torch
assert not torch.cuda.is_initialized()
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
pid = os.fork()
if pid == 0:
    torch.set_num_threads(2)
    layer = torch.nn.LSTM(64, 256, batch_first=True)
    layer(torch.randn(64, 8, 64))[0].sum().backward()
    (torch.randn(700, 700) @ torch.randn(700, 700)).sum().item()
    os._exit(0)
print(threads, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_process_that_imported_all_of_it_may_be_forked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split()[-1] == "0"
