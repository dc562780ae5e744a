"""ReportCallback in the hands of any Lightning user: a plain module, a plain DataLoader, a plain Trainer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

import seqsweep
from seqsweep import ReportCallback, TrialPruned, current
from seqsweep.errors import ConfigError
from seqsweep.protocol import LocalContext

# Lightning 2.6.6's own use of a torch function that torch 2.13 has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

EPOCH = 3


class Line(LightningModule):
    """Fits one weight; logs the epoch's number as its loss, so that values are known beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any) -> torch.Tensor:
        return (self.weight - batch.mean()) ** 2

    def validation_step(self, batch: Any) -> None:
        self.log("val/loss", float(self.current_epoch + 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stopping(LocalContext):
    """Says stop at the second report."""

    def report(self, value: float, step: int) -> bool:
        super().report(value, step)
        return len(self.reports) < 2


def trainer(monitor: str = "val/loss", **options: Any) -> Trainer:
    return Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ReportCallback(monitor=monitor)],
        **options,
    )


def fit(monitor: str = "val/loss") -> Trainer:
    made = trainer(monitor, num_sanity_val_steps=2)
    made.fit(Line(), DataLoader(torch.ones(EPOCH)), DataLoader(torch.ones(2)))
    return made


def test_each_validation_is_reported(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    with current.running(context):
        fit().validate(Line(), DataLoader(torch.ones(2)), verbose=False)
    assert context.reports == [(1.0, EPOCH), (2.0, 2 * EPOCH), (3.0, 3 * EPOCH)]


def test_a_stop_leaves_the_fit(tmp_path: Path) -> None:
    context = Stopping(tmp_path)
    with current.running(context), pytest.raises(TrialPruned, match="stopped at step 6"):
        fit()
    assert [step for _, step in context.reports] == [EPOCH, 2 * EPOCH]


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    with current.running(LocalContext(tmp_path)), pytest.raises(ConfigError) as caught:
        fit("val/los")
    assert str(caught.value) == (
        "monitor=val/los: expected a logged metric, which are val/loss; did you mean 'val/loss'?"
    )


def test_outside_a_study_nothing_happens() -> None:
    assert fit("no such metric").current_epoch == 3


IMPORT = """
import sys
import seqsweep
assert "ReportCallback" in dir(seqsweep)
assert not {"lightning", "torch", "numpy", "hydra"} & set(sys.modules)
from seqsweep import ReportCallback
from lightning.pytorch import Callback
assert issubclass(ReportCallback, Callback)
# what a Lightning script does not need is not imported for it
assert not {"mlflow", "optuna", "omegaconf", "sklearn", "seqsweep.models"} & set(sys.modules)
"""


def test_the_package_alone_imports_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True, timeout=120)
    with pytest.raises(AttributeError, match="has no attribute 'reprot'"):
        seqsweep.reprot  # noqa: B018


RANK = """
import os, pathlib, sys, torch
from lightning.pytorch.strategies import DDPStrategy
from seqsweep import TrialPruned, current
from training.test_report_callback import Line, Stopping, trainer
from torch.utils.data import DataLoader
rank = int(os.environ["LOCAL_RANK"])
context = Stopping(pathlib.Path("."))
made = trainer(sys.argv[1], devices=2, strategy=DDPStrategy(process_group_backend="gloo"))
try:
    with current.running(context) if rank == 0 else open(os.devnull):
        made.fit(Line(), DataLoader(torch.ones(6)), DataLoader(torch.ones(2)))
except Exception as error:
    print(type(error).__name__, made.global_step, context.reports)
"""


@pytest.mark.real
@pytest.mark.parametrize(
    ("monitor", "first", "second"),
    [
        ("val/loss", "TrialPruned 6 [(1.0, 3), (2.0, 6)]", "TrialPruned 6 []"),
        ("val/x", "ConfigError 3 []", "ConfigError 3 []"),
    ],
)
def test_rank_0_asks_and_the_others_follow(tmp_path: Path, monitor: str, first: str, second: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tests = Path(__file__).parents[1]
    surroundings = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
        "PYTHONPATH": str(tests),
    }
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, monitor],
            env=surroundings | {"LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=120) for rank in ranks]
    assert [out.strip().splitlines()[-1:] for out, _ in said] == [[first], [second]], said
