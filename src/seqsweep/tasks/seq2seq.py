"""One sequence of tokens to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from seqsweep.errors import ConfigError
from seqsweep.models import Seq2Seq as Seq2SeqModel
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory


class Seq2Seq(Task):
    """Cross-entropy a target token, and whether the generated sequence is the true one.

    Logs, for ``val`` and ``test``: loss and token_accuracy, both with the true
    tokens fed, and exact_match, the share of sequences that greedy generation
    gets right from the first token to the end marker.

    Args:
        model: a `seqsweep.models.Seq2Seq`.
        spec: what the data is like.
        optimizer: see `Task`.
        scheduler: see `Task`.
        teacher_forcing: probability, drawn for each step of each sequence, that training
            feeds the true token rather than the model's own. At 1 all steps are
            computed at once; below, one after the other.

    """

    kind = "seq2seq"
    metrics = ("val/loss", "val/token_accuracy", "val/exact_match")
    monitor = ("val/exact_match", "maximize")
    model: Seq2SeqModel

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        *,
        teacher_forcing: float = 1.0,
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        if not isinstance(model, Seq2SeqModel):
            raise ConfigError(
                f"_target_=seqsweep.tasks.Seq2Seq: expected model=seq2seq, since the targets of "
                f"'{spec.name}' are sequences, not {type(model).__name__}"
            )
        self.teacher_forcing = _share("teacher_forcing", teacher_forcing)

    def draw_masks(self, batch: Batch) -> Any:
        """All random draws of one training step, from the trial's own generator."""
        return self.model.draw_masks(batch, self.own_generator(), self.teacher_forcing)

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy of the true target tokens; third result: logits, batch x time x tokens."""
        logits = self.call(params, buffers, batch.inputs, batch.lengths, batch.targets, masks=masks)
        loss = F.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=self.spec.padding_index
        )
        return loss, state, logits

    def make_measures(self) -> dict[str, Metric]:
        """Loss, token_accuracy and exact_match."""
        return {name: Mean() for name in ("loss", "token_accuracy", "exact_match")}

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, _, logits = self.loss(*self.tensors(), batch, None, None)
        true = batch.target_mask  # batch x time
        right = (logits.argmax(dim=-1) == batch.targets)[true].float()  # true tokens
        generated = self.model.generate(batch.inputs, batch.lengths)
        matches = exact_match(generated, batch.targets, self.spec.padding_index)
        measures["loss"].update(loss, right.numel())
        measures["token_accuracy"].update(right)
        measures["exact_match"].update(matches.float())


def exact_match(generated: Tensor, targets: Tensor, padding: int) -> Tensor:
    """Whether each row is the same sequence.

    Args:
        generated: batch x some time of tokens, padded after the end marker.
        targets: batch x some other time of tokens, padded after the end marker.
        padding: the token that stands for nothing.

    Returns:
        batch of bool.

    """
    width = max(generated.shape[1], targets.shape[1])
    rows = [F.pad(tokens, (0, width - tokens.shape[1]), value=padding) for tokens in (generated, targets)]
    return torch.eq(*rows).all(dim=1)


def _share(name: str, value: object) -> float:
    """`value` as a number from 0 to 1, both included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{name}={value}: expected a number from 0 to 1")
    return float(value)
