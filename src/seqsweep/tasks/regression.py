"""Numbers for a sequence, and the remaining life of a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.utilities import dim_zero_cat

from seqsweep import checks
from seqsweep.tasks import pictures
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "huber": F.huber_loss,
}
MOST_POINTS = 5000
"""Of a picture; more are neither seen nor quick to draw."""


class Regression(Task):
    """One or several numbers a sequence.

    The loss is on the targets as the data has them, standardised. Logs, for ``val`` and
    ``test``: loss, and over all examples and values rmse and mae, in the targets' own units.

    Args:
        model: see `Task`.
        spec: see `Task`.
        optimizer: see `Task`.
        scheduler: see `Task`.
        loss: ``mse``, ``mae``, or ``huber``, which is squared up to an error of one
            standard deviation and linear beyond.

    """

    kind = "regression"
    metrics: tuple[str, ...] = ("val/loss", "val/rmse", "val/mae")
    monitor = ("val/rmse", "minimize")
    kept = frozenset({"pairs"})
    means: Tensor
    scales: Tensor

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        *,
        loss: str = "mse",
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        self._criterion = LOSSES[checks.one_of("loss", loss, LOSSES)]
        size = spec.output_size
        self.register_buffer("means", torch.tensor(spec.target_means or [0.0] * size), persistent=False)
        self.register_buffer("scales", torch.tensor(spec.target_scales or [1.0] * size), persistent=False)

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean over examples and values; the third result is what was predicted, batch x values."""
        predicted = self.call(params, buffers, batch.inputs, batch.lengths, masks=masks)
        return self._criterion(predicted, batch.targets), state, predicted

    def make_measures(self) -> dict[str, Metric]:
        """Loss, rmse and mae, and what was predicted for what."""
        return {
            "loss": Mean(),
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "pairs": Pairs(),
        }

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, _, outputs = self.loss(*self.tensors(), batch, None, None)
        predicted, true = self.in_own_units(outputs), self.in_own_units(batch.targets)
        measures["loss"].update(loss, len(batch))
        for name, measure in measures.items():
            if name != "loss":
                measure.update(predicted, true)

    def predictions(self, batch: Batch) -> list[list[float]]:
        """The numbers of each sequence, in their own units."""
        outputs = self.call(*self.tensors(), batch.inputs, batch.lengths)
        numbers: list[list[float]] = self.in_own_units(outputs).tolist()
        return numbers

    def in_own_units(self, values: Tensor) -> Tensor:
        """Standardised targets, or predictions of them, (batch, values), as they were before."""
        return values * self.scales + self.means

    def pictures(self) -> dict[str, Figure]:
        """Predicted against true values of the last test."""
        pairs = self.tested["pairs"].cpu()  # examples x 2 x values
        predicted, true = pairs[:: len(pairs) // MOST_POINTS + 1].unbind(1)
        return {"predicted": pictures.scatter(predicted.numpy(), true.numpy(), self._names())}

    def _names(self) -> Sequence[str]:
        size = self.spec.output_size
        return self.spec.target_names or [f"value {number}" for number in range(1, size + 1)]


class RemainingUsefulLife(Regression):
    """How long a machine will run on: `Regression`, and the score of the C-MAPSS data's authors.

    ``cmapss_score`` is a sum over the examples, which grows with their number.
    """

    metrics = (*Regression.metrics, "val/cmapss_score")

    def make_measures(self) -> dict[str, Metric]:
        """As `Regression`, and cmapss_score."""
        return {**super().make_measures(), "cmapss_score": CmapssScore()}


class CmapssScore(Metric):
    """Sum over all predictions of a penalty that is harder on those that come too late.

    With d = predicted - true: exp(-d / 13) - 1 for d < 0, else exp(d / 10) - 1
    (Saxena et al. 2008).
    """

    full_state_update = False
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        # of several processes each validates all of the part
        self.add_state("total", torch.zeros(()), dist_reduce_fx="mean")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Take in predictions and truths of one shape."""
        late = predicted - true
        self.total += torch.expm1(torch.where(late < 0, -late / 13, late / 10)).sum()

    def compute(self) -> Tensor:
        """The sum so far."""
        return self.total


class Pairs(Metric):
    """All predictions and truths, for a picture: examples x 2 x values."""

    full_state_update = False
    found: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("found", [], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Take in (batch, values) each."""
        self.found.append(torch.stack([predicted, true], dim=1))

    def compute(self) -> Tensor:
        """All so far."""
        return dim_zero_cat(self.found)
