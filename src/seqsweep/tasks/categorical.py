"""What tasks with classes have in common, be there one a sequence or one a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.tasks import losses, pictures
from seqsweep.tasks.base import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from torch import Tensor

    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory


class Categorical(Task):
    """Base of the tasks whose answers are among ``spec.output_size`` classes.

    Their test keeps a measure named ``confusion``. The loss that they log is neither weighted
    nor smoothed.

    Args:
        model: see `Task`.
        spec: see `Task`.
        optimizer: see `Task`.
        scheduler: see `Task`.
        class_weights: of the classes in training: None, ``balanced``, or a number for each.
        label_smoothing: share of each target that training spreads over all classes.

    """

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

        self.choose_metrics()

    def choose_metrics(self) -> None:
        """Set `metrics` and `monitor` where they depend on the classes."""

    def training_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy, weighted and smoothed as the options say; see `losses.cross_entropy`."""
        return losses.cross_entropy(logits, targets, self.class_weights, self.label_smoothing)

    def pictures(self) -> dict[str, Figure]:
        """Which class was taken for which in the last test."""
        names = self.spec.class_names or tuple(map(str, range(self.spec.output_size)))
        return {"confusion": pictures.confusion(self.tested["confusion"].cpu().numpy(), names)}
