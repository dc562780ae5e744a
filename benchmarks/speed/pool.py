"""A bare pool of processes: trials that differ in their learning rate, each a bare loop.

    python -m speed.pool JOBS OUT

JOBS is from `prepare`; OUT takes each trial's times and losses.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROCESSES = 2


@dataclass
class Order:
    """Batches drawn beforehand."""

    epochs: list[Any]
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.epochs[0])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def batches(self, epoch: int | None = None) -> Any:
        return self.epochs[self.epoch if epoch is None else epoch]


def prepare(overrides: list[str], rates: list[float], path: str, device: str) -> None:
    """Put down tensors, initial weights, order and learning rates, so that a trial has nothing to make."""
    import torch

    from seqsweep.training import build
    from speed import works

    config = works.configuration(overrides)
    learner, feed = works.plainly(build(config), "cpu")
    epochs = config["trainer"]["max_epochs"]
    job = {
        "learner": learner,
        "columns": feed.columns,  # type: ignore[union-attr]
        "val": feed.val,
        "orders": [feed.order.batches(epoch) for epoch in range(epochs)],  # type: ignore[union-attr]
        "epochs": epochs,
        "clip": config["trainer"]["gradient_clip_val"],
        "rates": rates,
        "device": device,
    }
    torch.save(job, path)


def load(path: str) -> tuple[dict[str, Any], Any, Any]:
    """The job, a fresh learner and its data."""
    import torch

    from speed.feeds import Table

    torch.set_num_threads(1)
    job = torch.load(path, weights_only=False)
    return job, job["learner"], Table(job["columns"], Order(job["orders"]), job["val"])


def trial(arguments: tuple[str, float]) -> dict[str, Any]:
    """One, by a bare loop."""
    import torch

    from speed.plain import Item, fit

    path, lr = arguments
    job, learner, feed = load(path)
    device = job["device"]
    learner.to(device)
    feed.columns, *feed.val = (
        Item(*[None if part is None else part.to(device) for part in item])
        for item in (feed.columns, *feed.val)
    )
    began = time.time()
    history = fit(
        learner,
        feed.batches,
        feed.val,
        epochs=job["epochs"],
        optimizer=torch.optim.Adam(learner.parameters(), lr=lr),
        clip=job["clip"],
    )
    return {"lr": lr, "began": began, "ended": time.time(), "history": history}


def main(path: str, out: str) -> None:
    import torch

    rates = torch.load(path, weights_only=False)["rates"]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        told = list(pool.imap_unordered(trial, [(path, lr) for lr in rates]))
    Path(out).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
