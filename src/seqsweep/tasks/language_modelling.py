"""The next token of a text, and texts that go on from a prompt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from seqsweep import checks
from seqsweep.data.text import UNKNOWN, join
from seqsweep.errors import ConfigError
from seqsweep.models.base import boolean
from seqsweep.models.generation import Sampling, continued
from seqsweep.models.recurrent import RecurrentModel
from seqsweep.tasks.base import Task, Tensors
from seqsweep.tasks.measures import Mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor
    from torchmetrics import Metric

    from seqsweep.data import Batch
    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks.base import OptimizerFactory, SchedulerFactory


SAMPLES = 5
"""Texts of the test part that are gone on from, for the record."""
PROMPT = 50
"""Tokens of each that are read before."""


class LanguageModelling(Task):
    """Cross-entropy of the next token, with truncated back-propagation through time.

    Logs, for ``val`` and ``test``: loss, in nats a token; perplexity, its exponential; and, where
    tokens are characters, bits_per_character.

    The state after a batch is where the next one begins, in training without its gradient (Mikolov
    et al. 2010); an epoch, a validation and a test each begin with a state of zeros.

    Args:
        model: a recurrent one that reads forward only.
        spec: what the data is like.
        optimizer: see `Task`.
        scheduler: see `Task`.
        carry_state: whether states are carried from batch to batch; else all begin with zeros.
        temperature: of what `predictions` draws; see `Sampling`.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        generated_length: tokens that `predictions` adds to a prompt.

    """

    kind = "language_modelling"
    model: RecurrentModel

    def __init__(
        self,
        model: Model,
        spec: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        *,
        carry_state: bool = True,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        generated_length: int = 100,
    ) -> None:
        super().__init__(model, spec, optimizer, scheduler)
        _check_reads_forward(model)
        self.carry_state = boolean("carry_state", carry_state)
        self.sampling = Sampling(temperature, top_k, top_p)
        self.generated_length = checks.positive_int("generated_length", generated_length)
        self.metrics = tuple(f"val/{name}" for name in self.make_measures())
        self.monitor = (self.metrics[-1], "minimize")
        self._tested: Any = None
        self._prompts: Batch | None = None

    def loss(
        self, params: Tensors, buffers: Tensors, batch: Batch, state: Any, masks: Any
    ) -> tuple[Tensor, Any, Tensor]:
        """Mean cross-entropy of the true steps, and the state after them, detached.

        Third result: logits, batch x time x tokens. Without a state the sequences begin here.
        """
        inputs = (params, buffers, batch.inputs, batch.lengths)
        if state is None:
            logits = self.call(*inputs, masks=masks)
        else:
            logits, state = self.call(*inputs, masks=masks, state=state)
            state = _of_each(state, lambda part: part.detach())
        loss = F.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=self.spec.padding_index
        )
        return loss, state, logits

    def state_for(self, batch: Batch, batch_idx: int, kept: Any) -> Any:
        """The state that the batch's rows begin with: what was kept, or zeros."""
        if not self.carry_state:
            return None
        if batch_idx == 0 or kept is None:
            return self.model.start(len(batch))
        # A text's rest goes on where the last of its streams ended.
        return _of_each(kept, lambda part: part[:, -len(batch) :].to(batch.inputs.device))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the validation measures."""
        self._tested = self.state_for(batch, batch_idx, self._tested)
        super().validation_step(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Take a batch into the test measures."""
        self._tested = self.state_for(batch, batch_idx, self._tested)
        super().test_step(batch, batch_idx)
        if batch_idx == 0:
            self._prompts = batch

    def make_measures(self) -> dict[str, Metric]:
        """Loss, perplexity, and bits_per_character where tokens are characters."""
        measures: dict[str, Metric] = {"loss": Mean(), "perplexity": Perplexity()}
        return measures | ({"bits_per_character": Bits()} if self.spec.level == "character" else {})

    def measure(self, measures: Mapping[str, Any], batch: Batch) -> None:
        """Take a batch into the measures."""
        loss, self._tested, _ = self.loss(*self.tensors(), batch, self._tested, None)
        for measure in measures.values():
            measure.update(loss, int(batch.target_mask.sum()))

    def predictions(self, batch: Batch) -> list[list[int]]:
        """The tokens that follow each prompt, padding and unknown ones never among them."""
        return self._continued(batch.inputs, batch.lengths)

    @torch.no_grad()
    def samples(self) -> list[dict[str, str]]:
        """How the model goes on from where some texts of the last test began."""
        if self._prompts is None or not self.spec.input_names:
            return []
        prompts = self._prompts.to(next(self.model.parameters()).device)  # a test ends on the processor
        rows, lengths = prompts.inputs[:SAMPLES, :PROMPT], prompts.mask[:SAMPLES, :PROMPT].sum(dim=1)
        read, told = self.spec.input_names, self.spec.class_names
        return [
            {
                "prompt": join((read[token] for token in row[:length]), self.spec.level),
                "continuation": join((told[token] for token in rest), self.spec.level),
            }
            for row, length, rest in zip(
                rows.tolist(), lengths.tolist(), self._continued(rows, lengths), strict=True
            )
        ]

    def _continued(self, rows: Tensor, lengths: Tensor | None) -> list[list[int]]:
        names = self.spec.class_names
        return continued(
            self.model,
            rows,
            lengths,
            length=self.generated_length,
            sampling=self.sampling,
            generator=self.own_generator(),
            never=[self.spec.padding_index, *([names.index(UNKNOWN)] if UNKNOWN in names else [])],
        ).tolist()


class Perplexity(Mean):
    """The exponential of the mean."""

    def compute(self) -> Tensor:
        """The perplexity so far."""
        return super().compute().exp()


class Bits(Mean):
    """The mean, from nats to bits."""

    def compute(self) -> Tensor:
        """The mean so far."""
        return super().compute() / math.log(2)


def _of_each(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The state with each of its tensors (layers x batch x hidden) changed."""
    return tuple(change(part) for part in state) if isinstance(state, tuple) else change(state)


def _check_reads_forward(model: Model) -> None:
    name = "_target_=seqsweep.tasks.LanguageModelling"
    if not isinstance(model, RecurrentModel):
        raise ConfigError(f"{name}: expected model=rnn, lstm or gru, not {type(model).__name__}")
    if model.bidirectional:
        raise ConfigError(
            f"{name}: expected model.bidirectional=false, since a backward direction reads what is to be told"
        )
