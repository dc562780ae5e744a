"""One class a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seqsweep.tasks import losses
from seqsweep.tasks.categorical import Categorical
from seqsweep.tasks.measures import AUROC, Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.tasks.base import Tensors


class Classification(Categorical):
    """Cross-entropy over ``spec.output_size`` classes.

    Logs, for ``val`` and ``test``: loss, accuracy (of all
    examples), macro_f1 and auroc (means over classes; of each class against the others).
    """

    kind = "classification"
    metrics = ("val/loss", "val/accuracy", "val/macro_f1", "val/auroc")
    monitor = ("val/accuracy", "maximize")

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy; the third result is the logits, batch x classes."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        return self.training_loss(logits, batch.targets), state, logits

    def make_measures(self) -> dict[str, Metric]:
        """Loss, accuracy, macro_f1, auroc, and who is taken for whom."""
        classes = self.spec.output_size
        return {
            "loss": Mean(),
            "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
            "macro_f1": MulticlassF1Score(classes, average="macro", validate_args=False),
            "auroc": AUROC(classes),
            "confusion": MulticlassConfusionMatrix(classes, validate_args=False),
        }

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        logits = self.call(*self.tensors(), batch.inputs, batch.lengths)
        measures["loss"].update(losses.cross_entropy(logits, batch.targets), len(batch))
        probabilities = logits.softmax(dim=-1)
        for name, measure in measures.items():
            if name != "loss":
                measure.update(probabilities, batch.targets)

    def predictions(self, batch: Batch) -> Sequence[dict[str, Any]]:
        """The most probable class, and the probability of each."""
        logits = self.call(*self.tensors(), batch.inputs, batch.lengths)
        probabilities = logits.softmax(dim=-1)  # batch x classes
        return [{"class": int(row.argmax()), "probabilities": row.tolist()} for row in probabilities]
