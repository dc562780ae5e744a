"""The next steps of a series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.baselines import LinearMap
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory

NORMALIZATIONS = ("none", "last_value", "instance")
SMALLEST_VARIANCE = 1e-5
PICTURED_WINDOWS = 4
PICTURED_TARGETS = 8


class Forecasting(Task):
    """Mean squared error of the `spec.horizon` steps after a context, on the data's own (standardised) scale.

    With one output a sequence (``data.method=direct``) that is the whole horizon. With one
    a step (``autoregressive``) each is the next step; training feeds the true ones over context
    and horizon, and a forecast reads the context and goes on with its own, its state carried.

    Logs, for ``val`` and ``test``: loss (with the true steps fed, if one a step), and of the
    forecasts mse, mae and mase, the absolute error in units of `spec.naive_errors` (Hyndman
    & Koehler 2006). A test logs beside them what two forecasts without a network reach,
    as ``test/last_value_...`` and ``test/linear_...``: the last value kept, and one linear map
    from the context to the horizon, the same for every target, fitted by least
    squares to the training part (left out where there is none, as when a stored run is tested).

    Args:
        model: the network.
        spec: what the data is like.
        optimizer: see `Task`.
        scheduler: see `Task`.
        normalization: what is done to each window, and undone in its forecast. ``last_value``
            subtracts the context's last value; ``instance`` its mean, and divides by its standard
            deviation (Kim et al. 2022, without their affine map).

    """

    kind = "forecasting"
    metrics = ("val/loss", "val/mse", "val/mae", "val/mase")
    monitor = ("val/mse", "minimize")

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        *,
        normalization: str = "none",
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        self.normalization = checks.one_of("normalization", normalization, NORMALIZATIONS)
        if spec.per_step and getattr(model, "bidirectional", False):
            raise ConfigError(
                "_target_=seqsweep.tasks.Forecasting: expected model.bidirectional=false with "
                "data.method=autoregressive, since what is to be told would be read"
            )
        self._linear: LinearMap | None = None
        self._pictured: tuple[Tensor, Tensor, Tensor] | None = None

    def draw_masks(self, batch: Batch) -> Any:
        """All random draws of one training step, for as many steps as are then read."""
        return super().draw_masks(replace(batch, inputs=self._read(batch)))

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean squared error; the third result is what was told, batch x horizon x targets.

        With one output a step it is the mean over all steps but the first, context and horizon, each
        told from the true ones before.
        """
        shift, scale = self._normalization(batch.inputs)
        outputs = self.call(params, buffers, (self._read(batch) - shift) / scale, masks=masks)
        told = self._undone(outputs, shift, scale)
        true = batch.targets
        if self.spec.per_step:
            true = torch.cat([batch.inputs[:, 1:], true], dim=1)  # batch x (context + horizon - 1) x targets
        return F.mse_loss(told, true), state, told[:, -self.horizon :]

    @property
    def horizon(self) -> int:
        """Steps to forecast."""
        assert self.spec.horizon is not None
        return self.spec.horizon

    def forecast(self, batch: Batch) -> Tensor:
        """Batch x horizon x targets, on the data's own scale; the batch's targets are not looked at."""
        shift, scale = self._normalization(batch.inputs)
        steps = (batch.inputs - shift) / scale
        outputs = self._run_on(steps) if self.spec.per_step else self.model(steps)
        return self._undone(outputs, shift, scale)

    def make_measures(self) -> dict[str, Metric]:
        """Loss, mse, mae and mase."""
        return {name.removeprefix("val/"): Mean() for name in self.metrics}

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, _, told = self.loss(*self.tensors(), batch, None, None)
        errors = (self.forecast(batch) if self.spec.per_step else told) - batch.targets
        measures["loss"].update(loss, len(batch))
        measures["mse"].update(errors.square())
        measures["mae"].update(errors.abs())
        measures["mase"].update(errors.abs() / errors.new_tensor(self.spec.naive_errors))

    @torch.no_grad()
    def predictions(self, batch: Batch) -> Sequence[Any]:
        """For each example the targets of each step of the horizon, in their own units."""
        return self._in_own_units(self.forecast(batch)).tolist()

    def pictures(self) -> dict[str, Figure]:
        """Some windows of the test part for each of the first targets, in their own units."""
        from seqsweep.tasks import pictures

        if self._pictured is None:
            return {}
        context, true, told = (part.cpu().numpy() for part in self._pictured)
        names = self.spec.target_names[:PICTURED_TARGETS]
        return {
            f"forecast_{name}": pictures.forecast(context[..., n], true[..., n], told[..., n], name)
            for n, name in enumerate(names)
        }

    # ------------------------------------------------------------ the test's own

    def on_test_start(self) -> None:
        """Fit the linear map that the test's forecasts are compared with."""
        splits = self._splits()
        if splits is not None and len(splits.train):
            self._linear = LinearMap.fit(splits.train, self.spec.target_columns)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the test measures, and into those of the forecasts beside."""
        super().test_step(batch, batch_idx)
        context = batch.inputs[..., list(self.spec.target_columns)]
        others = {"last_value": context[:, -1:]}
        if self._linear is not None:
            others["linear"] = self._linear(context)
        measures = self._beside()
        for name, told in others.items():
            errors = told - batch.targets
            measures[f"{name}_mse"].update(errors.square())
            measures[f"{name}_mae"].update(errors.abs())

    def on_test_epoch_end(self) -> None:
        """Log all of them, and keep what is to be pictured."""
        super().on_test_epoch_end()
        measures = self._beside()
        self.log_dict({f"test/{name}": measure.compute() for name, measure in measures.items()})
        for measure in measures.values():
            measure.reset()
        self._pictured = self._some_forecasts()

    def _beside(self) -> Mapping[str, Any]:
        """The measures of the forecasts beside."""
        if "beside" not in self._parts:
            kinds = ("last_value", *["linear"] * (self._linear is not None))
            names = [f"{kind}_{error}" for kind in kinds for error in ("mse", "mae")]
            self._parts["beside"] = nn.ModuleDict({name: Mean() for name in names}).to(self.device)
        return self._parts["beside"]  # type: ignore[return-value]

    def _splits(self) -> Any:
        return getattr(getattr(self.trainer, "datamodule", None), "splits", None)

    def _some_forecasts(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Context, truth and forecast of windows evenly spread over the test part, in their own units."""
        splits = self._splits()
        if splits is None or len(splits.test) == 0:
            return None
        count = min(PICTURED_WINDOWS, len(splits.test))
        batch = splits.test.cut(torch.linspace(0, len(splits.test) - 1, count).long()).to(self.device)
        context = batch.inputs[..., list(self.spec.target_columns)]
        with torch.no_grad():
            told = self.forecast(batch)
        return self._in_own_units(context), self._in_own_units(batch.targets), self._in_own_units(told)

    # ------------------------------------------------------------ a window

    def _read(self, batch: Batch) -> Tensor:
        """What training reads: the context, and with one output a step the horizon but for its last step."""
        if not self.spec.per_step:
            return batch.inputs
        return torch.cat([batch.inputs, batch.targets[:, :-1]], dim=1)

    def _run_on(self, steps: Tensor) -> Tensor:
        """The steps that follow, batch x horizon x targets, each read to tell the next."""
        outputs, state = self.model(steps, state=self.model.start(len(steps)))  # type: ignore[operator]
        told = [outputs[:, -1:]]
        for _ in range(self.horizon - 1):
            outputs, state = self.model(told[-1], state=state)
            told.append(outputs)
        return torch.cat(told, dim=1)

    def _normalization(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What is subtracted from each feature and what it is then divided by, batch x 1 x features."""
        if self.normalization == "instance":
            variance, mean = torch.var_mean(context, dim=1, correction=0, keepdim=True)
            return mean, (variance + SMALLEST_VARIANCE).sqrt()
        last = context[:, -1:]
        shift = last if self.normalization == "last_value" else torch.zeros_like(last)
        return shift, torch.ones_like(last)

    def _undone(self, outputs: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        """The model's outputs as batch x steps x targets, on the data's own scale."""
        columns = list(self.spec.target_columns)
        steps = outputs.reshape(len(outputs), -1, len(columns))
        return steps * scale[..., columns] + shift[..., columns]

    def _in_own_units(self, values: Tensor) -> Tensor:
        """Values (... x targets) as the file has them."""
        return values * values.new_tensor(self.spec.target_scales) + values.new_tensor(self.spec.target_means)
