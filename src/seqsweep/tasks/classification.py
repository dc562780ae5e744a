"""One class a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch


class Classification(Task):
    """Cross-entropy over ``spec.output_size`` classes.

    Logs, for ``val`` and ``test``: loss, accuracy (of all examples) and macro_f1
    (the mean of the classes' F1).
    """

    kind = "classification"
    metrics = ("val/loss", "val/accuracy", "val/macro_f1")
    monitor = ("val/accuracy", "maximize")

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy; the third result is the logits, batch x classes."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        return F.cross_entropy(logits, batch.targets), state, logits

    def make_measures(self) -> dict[str, Metric]:
        """Loss, accuracy and macro_f1."""
        classes = self.spec.output_size
        return {
            "loss": Mean(),
            "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
            "macro_f1": MulticlassF1Score(classes, average="macro", validate_args=False),
        }

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, _, logits = self.loss(*self.tensors(), batch, None, None)
        measures["loss"].update(loss, len(batch))
        measures["accuracy"].update(logits, batch.targets)
        measures["macro_f1"].update(logits, batch.targets)
