"""One class a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmetrics.classification import MulticlassConfusionMatrix

from seqsweep.tasks import losses
from seqsweep.tasks.categorical import Categorical
from seqsweep.tasks.measures import Mean
from seqsweep.tasks.spans import SpanReader, SpanScore, matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.tasks.base import Tensors

SPAN_SCORES = {"span_f1": "f1", "span_precision": "precision", "span_recall": "recall"}


class Tagging(Categorical):
    """Cross-entropy a true step over ``spec.output_size`` tags.

    Logs, for ``val`` and ``test``: loss and token_accuracy and, where all tags are of the
    form B-type, I-type or O, span_f1, span_precision and span_recall of exact spans
    (`seqsweep.tasks.spans`), over all types together.
    """

    kind = "tagging"

    def choose_metrics(self) -> None:
        """Spans count where there are some."""
        names = self.spec.class_names
        self.spans = SpanReader(names) if SpanReader.reads(names) else None
        self.metrics = ("val/loss", "val/token_accuracy")
        self.monitor = ("val/token_accuracy", "maximize")
        if self.spans is not None:
            self.metrics += tuple(f"val/{name}" for name in SPAN_SCORES)
            self.monitor = ("val/span_f1", "maximize")

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy of the true steps; the third result is the logits, batch x time x tags."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        return self.training_loss(logits, _counted(batch)), state, logits

    def make_measures(self) -> dict[str, Metric]:
        """Loss, token_accuracy and, if tags mark spans, their scores."""
        scores = SPAN_SCORES if self.spans is not None else {}
        return {
            "loss": Mean(),
            "token_accuracy": Mean(),
            "confusion": MulticlassConfusionMatrix(self.spec.output_size, validate_args=False),
            **{name: SpanScore(kind) for name, kind in scores.items()},
        }

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        logits = self.call(*self.tensors(), batch.inputs, batch.lengths)
        tags, true = logits.argmax(dim=-1), batch.target_mask  # batch x time
        right = (tags == batch.targets)[true].float()  # true steps
        measures["loss"].update(losses.cross_entropy(logits, _counted(batch)), right.numel())
        measures["token_accuracy"].update(right)
        if "confusion" in measures:
            measures["confusion"].update(tags[true], batch.targets[true])
        if self.spans is not None:
            counts = matches(self.spans.read(tags, true), self.spans.read(batch.targets, true))
            for name in SPAN_SCORES:
                measures[name].update(counts)

    def predictions(self, batch: Batch) -> Sequence[list[int]]:
        """The tag of each true step."""
        tags = self.call(*self.tensors(), batch.inputs, batch.lengths).argmax(dim=-1)
        sizes = batch.mask.sum(dim=1)
        return [row[:size].tolist() for row, size in zip(tags, sizes, strict=True)]


def _counted(batch: Batch) -> Tensor:
    """The targets, batch x time, those at padding marked to be left out."""
    return batch.targets.masked_fill(~batch.target_mask, losses.IGNORED)
