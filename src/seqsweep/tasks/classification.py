"""One class a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seqsweep import checks
from seqsweep.tasks import losses, pictures
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import AUROC, Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory


class Classification(Task):
    """Cross-entropy over ``spec.output_size`` classes.

    Logs, for ``val`` and ``test``: loss (neither weighted nor smoothed), accuracy (of all
    examples), macro_f1 and auroc (means over classes; of each class against the others).

    Args:
        model: see `Task`.
        spec: see `Task`.
        optimizer: see `Task`.
        scheduler: see `Task`.
        class_weights: of the classes in training: None, ``balanced``, or a number for each.
        label_smoothing: share of each target that training spreads over all classes.

    """

    kind = "classification"
    metrics = ("val/loss", "val/accuracy", "val/macro_f1", "val/auroc")
    monitor = ("val/accuracy", "maximize")
    kept = frozenset({"confusion"})
    class_weights: Tensor | None

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        *,
        class_weights: str | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        self.label_smoothing = checks.probability("label_smoothing", label_smoothing)
        self.register_buffer("class_weights", losses.class_weights(class_weights, spec), persistent=False)

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy; the third result is the logits, batch x classes."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        loss = losses.cross_entropy(logits, batch.targets, self.class_weights, self.label_smoothing)
        return loss, state, logits

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
        for name in ("accuracy", "macro_f1", "auroc", "confusion"):
            measures[name].update(probabilities, batch.targets)

    def predictions(self, batch: Batch) -> Sequence[dict[str, Any]]:
        """The most probable class, and the probability of each."""
        logits = self.call(*self.tensors(), batch.inputs, batch.lengths)
        probabilities = logits.softmax(dim=-1)  # batch x classes
        return [{"class": int(row.argmax()), "probabilities": row.tolist()} for row in probabilities]

    def pictures(self) -> dict[str, Figure]:
        """The confusion matrix of the last test."""
        names = self.spec.class_names or tuple(map(str, range(self.spec.output_size)))
        return {"confusion": pictures.confusion(self.tested["confusion"].cpu().numpy(), names)}
