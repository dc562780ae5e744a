"""One run by each of the three, in the process that asks: how many steps it made in how many seconds.

The clock runs from the moment the first batch is asked for to the end of the last validation;
what is imported, built and opened before does not count.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from speed import works
from speed.spools import Epoch, epochs_of


def floor(overrides: list[str], device: str) -> dict[str, Any]:
    """The bare loop."""
    import torch

    from seqsweep.training import build
    from speed.plain import fit

    config = works.configuration(overrides)
    learner, feed = works.plainly(build(config), device)
    optimizer = torch.optim.Adam(learner.parameters(), lr=config["optimizer"]["lr"])
    epochs, clip = config["trainer"]["max_epochs"], config["trainer"]["gradient_clip_val"]
    began = time.time()
    history = fit(learner, feed.batches, feed.val, epochs=epochs, optimizer=optimizer, clip=clip)
    seconds = time.time() - began
    return {"seconds": seconds, "steps": epochs * len(feed), "history": history}


def stock(overrides: list[str], device: str) -> dict[str, Any]:
    """Lightning, a DataLoader, ModelCheckpoint, MLFlowLogger, each step's loss logged."""
    from seqsweep.training import build
    from speed.stock import fit

    config = works.configuration(overrides)
    learner, feed = works.plainly(build(config), "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told, run = fit(
            learner,
            feed,
            epochs=config["trainer"]["max_epochs"],
            lr=config["optimizer"]["lr"],
            clip=config["trainer"]["gradient_clip_val"],
            monitor=learner.monitor,
            folder=folder,
            device=device,
        )
        return told | {"logged": logged(folder / "mlflow.db", run)}


def ours(overrides: list[str], device: str) -> dict[str, Any]:
    """What ``seqsweep train`` does: a spool, and a recorder beside it that writes into MLflow."""
    began, epochs, tracked = _run(overrides)
    return {
        "seconds": epochs[-1].ended - began,
        "steps": epochs[-1].step,
        "history": [epoch.metrics for epoch in epochs],
        "logged": tracked,
    }


def epoch_seconds(overrides: list[str]) -> list[float]:
    """The same, from each validation's end to the next one's."""
    _, epochs, _ = _run(overrides)
    return [after.ended - before.ended for before, after in pairwise(epochs)]


def _run(overrides: list[str]) -> tuple[float, list[Epoch], int]:
    """When the first batch was asked for, the epochs, and the steps whose loss is in MLflow."""
    from seqsweep import paths, training
    from seqsweep.cli.single import begin_record
    from seqsweep.protocol import Complete, LocalContext
    from seqsweep.tracking import Spool

    config = works.configuration(overrides)
    built = training.build(config)
    asked = _note_first_batch(built.data)
    goal = replace(training.Goal.of(built.task), test=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorder = begin_record(config["tracking"], folder, "ours", {})
        try:
            with Spool(folder) as spool:
                outcome = training.train(built, context=LocalContext(folder), tracker=spool, goal=goal)
        finally:
            recorder.close()
        assert isinstance(outcome, Complete), (folder / "error.txt").read_text()
        tracked = logged(paths.home() / "mlflow.db", recorder.run_id)
        return asked[0], epochs_of(folder), tracked


def logged(store: Path, run: str | None) -> int:
    """The steps whose loss the run has in its MLflow store."""
    with sqlite3.connect(store) as rows:
        query = "select count(distinct step) from metrics where run_uuid = ? and key = 'train/loss'"
        return int(rows.execute(query, [run]).fetchone()[0])


def _note_first_batch(data: Any) -> list[float]:
    """A list into which the times go at which the training batches are asked for."""
    times: list[float] = []
    loader = data.train_dataloader

    def asked() -> Any:
        times.append(time.time())
        return loader()

    data.train_dataloader = asked
    return times
