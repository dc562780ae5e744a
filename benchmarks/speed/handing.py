"""How long the training thread is held by the hand-over of a metric."""

from __future__ import annotations

import tempfile
import time
from typing import Any


def spool(metrics: int) -> float:
    """Microseconds a metric through our spool, a tensor at a time, while its thread writes."""
    import torch

    from seqsweep.tracking import Spool

    loss = torch.tensor(0.5)
    with tempfile.TemporaryDirectory() as folder, Spool(folder) as log:
        began = time.perf_counter()
        for step in range(metrics):
            log.log_metrics({"train/loss": loss}, step)
        return (time.perf_counter() - began) / metrics * 1e6


def self_log(overrides: list[str]) -> float:
    """Microseconds a call of Lightning's ``self.log`` in the steps of a fit, without a logger behind it."""
    import lightning as L
    import torch

    from seqsweep.training import build
    from speed import stock, works

    class Timed(stock.Module):
        seconds, calls = 0.0, 0

        def log(self, *args: Any, **options: Any) -> None:
            began = time.perf_counter()
            super().log(*args, **options)
            self.seconds, self.calls = self.seconds + time.perf_counter() - began, self.calls + 1

    stock.quiet()
    learner, feed = works.plainly(build(works.configuration(overrides)), "cpu")
    module = Timed(learner, 1e-3)
    trainer = L.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    torch.set_num_threads(1)
    trainer.fit(module, feed.loader())
    return module.seconds / module.calls * 1e6
