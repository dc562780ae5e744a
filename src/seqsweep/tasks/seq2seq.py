"""One sequence of tokens to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from seqsweep.data.text import UNKNOWN, join
from seqsweep.errors import ConfigError
from seqsweep.models import Seq2Seq as Seq2SeqModel
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean
from seqsweep.tasks.teacher_forcing import TeacherForcing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory

SHOWN = 4
"""Examples whose attention is shown: the first ones of the test part."""
SAMPLES = 20
"""Examples whose answers are shown: the first ones too."""


class Seq2Seq(Task):
    """Cross-entropy a target token, and whether the generated sequence is the true one.

    Logs, for ``val`` and ``test``: loss and token_accuracy, both with the true
    tokens fed, and exact_match, the share of sequences that generation gets right
    from the first token to the end marker. Its pictures show where attention was
    in the answers to the first examples tested.

    Args:
        model: a `seqsweep.models.Seq2Seq`.
        spec: what the data is like.
        optimizer: see `Task`.
        scheduler: see `Task`.
        teacher_forcing: probability, drawn for each step of each sequence, that training
            feeds the true token rather than the model's own. At 1 all steps are
            computed at once; below, one after the other.
        teacher_forcing_end: that probability at the end of training; None for no change.
        teacher_forcing_schedule: the way there, ``linear``, ``exponential`` or ``inverse_sigmoid``
            (Bengio et al. 2015), over all optimiser steps of the run.

    """

    kind = "seq2seq"
    metrics: tuple[str, ...] = ("val/loss", "val/token_accuracy", "val/exact_match")
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
        teacher_forcing_end: float | None = None,
        teacher_forcing_schedule: str = "linear",
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        if not isinstance(model, Seq2SeqModel):
            raise ConfigError(
                f"_target_=seqsweep.tasks.{type(self).__name__}: expected model=seq2seq, since the targets "
                f"of '{spec.name}' are sequences, not {type(model).__name__}"
            )
        self.teacher_forcing = TeacherForcing(teacher_forcing, teacher_forcing_end, teacher_forcing_schedule)
        self._last_step: float | None = None
        self._tested: Batch | None = None

    def draw_masks(self, batch: Batch) -> Any:
        """All random draws of one training step, from the trial's own generator."""
        share = self.teacher_forcing.at(self._progress())
        return self.model.draw_masks(batch, self.own_generator(), share)

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
        measures["loss"].update(loss, right.numel())
        measures["token_accuracy"].update(right)
        self.measure_generated(measures, batch, self.model.generate(batch.inputs, batch.lengths))

    def measure_generated(self, measures: Mapping[str, Any], batch: Batch, generated: Tensor) -> None:
        """Take what was generated for a batch, batch x some time, into the measures."""
        matches = exact_match(generated, batch.targets, self.spec.padding_index)
        measures["exact_match"].update(matches.float())

    def predictions(self, batch: Batch) -> list[list[int]]:
        """The generated tokens of each example, without the end marker."""
        return self.answers(self.model.generate(batch.inputs, batch.lengths))

    def answers(self, rows: Tensor) -> list[list[int]]:
        """The tokens of each row (batch x time) that come before its end marker."""
        ended = (rows == self.spec.end_index) | (rows == self.spec.padding_index)
        lengths = (ended.cumsum(dim=1) == 0).sum(dim=1)
        return [row[:length] for row, length in zip(rows.tolist(), lengths.tolist(), strict=True)]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the test measures, and keep the first one to be shown."""
        super().test_step(batch, batch_idx)
        if batch_idx == 0:
            self._tested = batch

    @torch.no_grad()
    def pictures(self) -> dict[str, Figure]:
        """Where attention was in the answers to the first examples of the test part."""
        from seqsweep.tasks.pictures import attention

        if self._tested is None:
            return {}
        rows, lengths, generated = self._generated(self._tested, SHOWN)
        weights = self.model.attention_weights(rows, lengths, generated).cpu().numpy()
        figures: dict[str, Figure] = {}
        if weights.shape[2] == 0:  # a model without attention
            return figures
        for number, answer in enumerate(self.answers(generated)):
            source = self._names_of_inputs(rows[number, : lengths[number]])
            ended = [*answer, self.spec.end_index][: generated.shape[1]]  # the end, if there was room for it
            target = self._names(ended)
            shown = weights[number, : len(target), : len(source)]
            figures[f"attention_{number + 1}"] = attention(shown, source, target)
        return figures

    @torch.no_grad()
    def samples(self) -> list[dict[str, str]]:
        """The first examples of the last test: what was read, what was answered, what is true."""
        if self._tested is None:
            return []
        rows, lengths, generated = self._generated(self._tested, SAMPLES)
        return [
            {
                "input": join(self._names_of_inputs(row[:length]), self.spec.level),
                "answer": join(self._names(answer), self.spec.level),
                "true": join(self._names(true), self.spec.level),
            }
            for row, length, answer, true in zip(
                rows,
                lengths.tolist(),
                self.answers(generated),
                self.answers(self._tested.targets[:SAMPLES]),
                strict=True,
            )
        ]

    def _generated(self, batch: Batch, most: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first `most` inputs of a batch, their lengths, and what the model answers them."""
        batch = batch.to(next(self.model.parameters()).device)  # a test ends on the processor
        rows, lengths = batch.inputs[:most], batch.mask[:most].sum(dim=1)
        return rows, lengths, self.model.generate(rows, lengths)

    def _progress(self) -> float:
        """The share of the run's optimiser steps that are done."""
        if self.teacher_forcing.end is None or self._trainer is None:
            return 0.0
        if self._last_step is None:
            self._last_step = float(self.trainer.estimated_stepping_batches)
        return self.trainer.global_step / self._last_step

    def _names_of_inputs(self, steps: Tensor) -> list[str]:
        """What stands below a picture for the steps of an input."""
        names = self.spec.input_names
        return [names[token] for token in steps.tolist()] if names else [str(n) for n in range(len(steps))]

    def _names(self, tokens: Sequence[Any]) -> list[str]:
        names = self.spec.class_names
        return [names[token] if names else str(token) for token in tokens]


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


def text_of(tokens: Sequence[int], spec: DataSpec, unknown: str = UNKNOWN) -> str:
    """The text of target tokens without markers, with `unknown` for each that is an unknown one."""
    names = (spec.class_names[token] for token in tokens)
    return join((unknown if name == UNKNOWN else name for name in names), spec.level)
