"""Task, the base of all learning problems."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.func import functional_call
from torch.nn.utils import clip_grad_value_
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seqsweep.errors import ConfigError
from seqsweep.tasks.schedules import make_schedule, takes_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec

    OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
    SchedulerFactory = Callable[[Optimizer], LRScheduler]

Tensors = dict[str, "Tensor"]


class Task(LightningModule):
    """A learning problem: what the loss is, and what is measured.

    The loss is a pure function of parameters, buffers, batch, carried state and
    masks; one trial, many stacked trials and a compiled step all call the same
    one. The step around it draws the masks from `generator`, the trial's own.

    Args:
        model: the network.
        spec: what the data is like.
        optimizer: makes the optimiser from the parameters.
        scheduler: makes the learning-rate schedule from the optimiser, stepped once
            an epoch; one that waits for a plateau watches ``val/loss``; one that takes
            ``total_steps`` is told the run's and stepped at each of them.

    """

    kind: ClassVar[str]
    """The kind of data that the task is for, one of `seqsweep.spec.KINDS`."""
    metrics: tuple[str, ...]
    """The validation metrics that the task logs, as they stand in `Trainer.callback_metrics`."""
    kept: ClassVar[frozenset[str]] = frozenset()
    """Measures that are not numbers to log, but what `pictures` are made of."""
    monitor: tuple[str, Literal["minimize", "maximize"]]
    """The metric that says how good a run is unless a study says otherwise, and which way."""

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
    ) -> None:
        super().__init__()
        if spec.kind != self.kind:
            raise ConfigError(
                f"_target_=seqsweep.tasks.{type(self).__name__}: expected task={spec.kind}, "
                f"since that is what '{spec.name}' is for"
            )
        self.model = model
        self.spec = spec
        self.generator: torch.Generator | None = None
        """Where dropout masks and the like come from; made at the first step if it is None by then."""
        self.gradient_norm = torch.zeros(())
        """Of the latest optimiser step, over all parameters, before clipping."""
        self.carried: Any = None
        """What training takes from batch to batch, without a gradient: tensors, or a tuple of them."""
        self.record: dict[str, Any] = {}
        """Plain data that checkpoints carry under ``seqsweep``: the configuration and the DataSpec."""
        self._held: tuple[Tensors, Tensors] | None = None
        self.compiled: Callable[[Batch, Any, Any], tuple[Tensor, Any]] | None = None
        """`step_loss` as a training step calls it, if it has been compiled."""
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self._parts = nn.ModuleDict()
        self.tested: dict[str, Any] = {}
        """The `kept` measures of the last test."""

    @abstractmethod
    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Any]:
        """The mean loss of a batch, as a pure function.

        Args:
            params: the model's parameters by name.
            buffers: the model's buffers by name.
            batch: the examples.
            state: what the batch before left, for tasks that carry a state; else None.
            masks: from `draw_masks`; None for no dropout.

        Returns:
            loss: a scalar.
            state: for the next batch.
            aux: what metrics are made of.

        """

    def draw_masks(self, batch: Batch) -> Any:
        """All random draws of one training step, from the trial's own generator."""
        return self.model.draw_masks(batch, self.own_generator())

    def state_for(self, batch: Batch, batch_idx: int, kept: Any) -> Any:
        """What a batch of training begins with: made of what the one before left, or None for nothing."""
        return None

    def own_generator(self) -> torch.Generator:
        """`generator`; where nobody set one, one that follows `torch.manual_seed`."""
        if self.generator is None:
            self.generator = torch.Generator(self.device)
            self.generator.manual_seed(torch.initial_seed())
        return self.generator

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step: draw, then the pure loss, weighted if the batch is a part of one."""
        state = self.state_for(batch, batch_idx, self.carried)
        loss, self.carried = (self.compiled or self.step_loss)(batch, state, self.draw_masks(batch))
        return loss if batch.weight == 1.0 else loss * batch.weight

    def step_loss(self, batch: Batch, state: Any, masks: Any) -> tuple[Tensor, Any]:
        """The pure loss at the model's own parameters, and the state after the batch."""
        loss, state, _ = self.loss(*self.tensors(), batch, state, masks)
        return loss, state

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put `record` in."""
        checkpoint["seqsweep"] = self.record

    def tensors(self) -> tuple[Tensors, Tensors]:
        """The model's parameters and buffers by name, as `loss` takes them."""
        return self._held or (dict(self.model.named_parameters()), dict(self.model.named_buffers()))

    def on_fit_start(self) -> None:
        """Look the tensors up once: a fit changes what is in them, not which they are."""
        self._held = None
        self._held = self.tensors()

    def on_fit_end(self) -> None:
        """Look them up anew from now on."""
        self._held = None

    def configure_optimizers(self) -> Any:
        """The optimiser and, if there is one, the schedule, in Lightning's form."""
        optimizer = self.optimizer_factory(self.model.parameters())
        if self.scheduler_factory is None:
            return optimizer
        by_step = takes_steps(self.scheduler_factory)
        steps = int(self.trainer.estimated_stepping_batches) if by_step else 0
        made = make_schedule(self.scheduler_factory, optimizer, steps)
        schedule: dict[str, Any] = {"scheduler": made, "interval": "step" if by_step else "epoch"}
        if isinstance(schedule["scheduler"], ReduceLROnPlateau):
            schedule["monitor"] = "val/loss"
            # only where there is a new one to watch
            schedule["frequency"] = getattr(self._trainer, "check_val_every_n_epoch", None) or 1
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients as the trainer is set to, and keep the norm that they had."""
        trainer = self._trainer  # None where a step is tried out alone
        scaler = getattr(trainer.precision_plugin, "scaler", None) if trainer else None
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # a fused optimiser would do so itself, after the clipping
        parameters = list(self._held[0].values() if self._held else self.parameters())
        gradients = [each.grad for each in parameters if each.grad is not None]
        self.gradient_norm = _norm(gradients)
        if gradient_clip_val is not None and gradient_clip_algorithm in (None, "norm"):
            _scale_(gradients, self.gradient_norm, gradient_clip_val)
        elif gradient_clip_val is not None:
            clip_grad_value_(parameters, gradient_clip_val)

    def call(self, params: Tensors, buffers: Tensors, *args: Any, **options: Any) -> Any:
        """The model as a pure function of its parameters and buffers."""
        if self._held and params is self._held[0] and buffers is self._held[1]:
            return self.model(*args, **options)  # the same, since these are the model's own
        return functional_call(self.model, (params, buffers), args, options)

    @abstractmethod
    def make_measures(self) -> dict[str, Metric]:
        """Fresh measures by name; they are logged as ``val/<name>`` and ``test/<name>``."""

    @abstractmethod
    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into `measures`, which `make_measures` made."""

    def predictions(self, batch: Batch) -> Sequence[Any]:
        """What the model says of each example, as plain Python values that the data module can write down.

        The batch's targets mean nothing.
        """
        raise NotImplementedError

    def pictures(self) -> dict[str, Figure]:
        """Figures by name of what was tested last, for the run's record; see `seqsweep.tasks.pictures`."""
        return {}

    def samples(self) -> list[dict[str, str]]:
        """Some of what was tested last and what the model makes of it, as text by column."""
        return []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the validation measures."""
        self.measure(self._measures("val"), batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the test measures."""
        self.measure(self._measures("test"), batch)

    def on_validation_epoch_end(self) -> None:
        """Log the validation measures and begin again."""
        if self.trainer.loggers or self.trainer.state.fn != TrainerFn.FITTING:
            self.log_dict(self.results("val"))
        else:  # it would take longer than the measures themselves, to put them there as well
            self.trainer.callback_metrics.update(self.results("val"))

    def on_test_epoch_end(self) -> None:
        """Log the test measures and begin again."""
        self.log_dict(self.results("test"))

    def _measures(self, part: str) -> Mapping[str, Any]:
        """The measures of a part, on this device; made when they are first needed."""
        if part not in self._parts:
            made = self.make_measures()
            if part != "test":  # what pictures are made of is of the test alone
                made = {name: measure for name, measure in made.items() if name not in self.kept}
            self._parts[part] = nn.ModuleDict(made).to(self.device)
        return self._parts[part]  # type: ignore[return-value]

    def results(self, part: str) -> dict[str, Tensor]:
        """The measures of what was taken in of a part, ``val`` or ``test``, by the names they are logged by.

        The next measuring begins anew.
        """
        measures = self._measures(part)
        made = {f"{part}/{name}": measures[name].compute() for name in measures if name not in self.kept}
        if part == "test":
            self.tested = {name: measures[name].compute() for name in self.kept}
        for measure in measures.values():
            measure.reset()
        return made


def _norm(gradients: list[Tensor]) -> Tensor:
    """Of all of them together.

    This and the next are what `torch.nn.utils.clip_grad_norm_` does with tensors of one device, in half its
    time: it looks for devices and types first, which takes a twentieth of a small step.
    """
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def _scale_(gradients: list[Tensor], norm: Tensor, most: float) -> None:
    """Scale them in place to a norm of at most `most`."""
    if gradients:
        torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
