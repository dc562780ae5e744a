"""The next frame of a piece of music."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from seqsweep.tasks import pictures
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from seqsweep.data import Batch


class Music(Task):
    """Which keys will sound, each for itself: the negative log-likelihood of a frame, in nats.

    Of a frame it is the sum over the keys of binary cross-entropies, and the loss is its
    mean over all true frames (Boulanger-Lewandowski et al. 2012; Bai et al. 2018).
    Logs, for ``val`` and ``test``: loss and nll, which are the same number.
    """

    kind = "music"
    metrics = ("val/loss", "val/nll")
    monitor = ("val/nll", "minimize")
    kept = frozenset({"first"})

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean over true frames; the third result is the logits, batch x time x keys."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        true = batch.target_mask  # batch x time
        return (frame_nll(logits, batch.targets) * true).sum() / true.sum(), state, logits

    def make_measures(self) -> dict[str, Metric]:
        """Loss and nll, and the first piece."""
        return {"loss": Mean(), "nll": Mean(), "first": FirstPiece()}

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, _, logits = self.loss(*self.tensors(), batch, None, None)
        true = batch.target_mask
        for name in ("loss", "nll"):
            measures[name].update(loss, int(true.sum()))
        if "first" in measures:
            frames = int(true[0].sum())
            measures["first"].update(logits[0, :frames].sigmoid(), batch.targets[0, :frames])

    def predictions(self, batch: Batch) -> list[list[list[float]]]:
        """Of each piece, for each frame from its second on, the keys' probabilities."""
        shares = self.call(*self.tensors(), batch.inputs, batch.lengths).sigmoid()
        return [
            piece[: int(true.sum())].tolist() for piece, true in zip(shares, batch.target_mask, strict=True)
        ]

    def pictures(self) -> dict[str, Figure]:
        """The first piece of the last test, and what was foretold of it."""
        predicted, true = self.tested["first"].cpu().numpy()
        return {"piano_roll": pictures.piano_roll(true, predicted)}


def frame_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each frame, batch x time, of keys that sound or not, batch x time x keys."""
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").sum(dim=-1)


class FirstPiece(Metric):
    """What was foretold of the first piece that it is given, and the truth: 2 x frames x keys."""

    full_state_update = False
    found: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("found", [], dist_reduce_fx=None)

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Take in (frames, keys) each, if nothing is there yet."""
        if not self.found:
            self.found.append(torch.stack([predicted, true.to(predicted.dtype)]))

    def compute(self) -> Tensor:
        """That piece."""
        return self.found[0]
