"""Seq2Seq: an encoder, a decoder, and attention between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models.attention import ATTENTIONS
from seqsweep.models.base import Model, SequenceBatch, boolean
from seqsweep.models.decoder import Decoder, Source
from seqsweep.models.dropout import draw_mask
from seqsweep.models.embedding import input_layer
from seqsweep.models.encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from seqsweep.spec import DataSpec

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class Seq2SeqMasks(NamedTuple):
    """All random draws of one training step; None where there is nothing to draw."""

    encoder: tuple[Tensor, ...] | None = None
    """Dropout on the embedded source, then after each layer but the last: batch x time x features."""
    decoder: tuple[Tensor, ...] | None = None
    """The same for the target."""
    forced: Tensor | None = None
    """batch x target time, True where the true token is fed; None feeds them all."""


class Seq2Seq(Model):
    """Encoder and decoder with attention (Bahdanau et al. 2015; Luong et al. 2015).

    Args:
        spec: what the data is like; it has token targets with a begin and an end marker.
        cell: ``lstm`` or ``gru``, in the encoder and in the decoder.
        hidden_size: units of one direction of one layer.
        num_layers: layers of the encoder, and of the decoder.
        dropout: probability with which each number is dropped in training, on the
            embedded tokens of both sides and between layers.
        bidirectional: whether the encoder reads the source from its end as well.
        embedding_size: size of a token's vector, on both sides; None means `hidden_size`.
        attention: ``additive``.

    Raises:
        ConfigError: an argument is out of its range, or the data has no token targets.

    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        embedding_size: int | None = None,
        attention: str = "additive",
    ) -> None:
        super().__init__(spec)
        kernel = CELLS[checks.one_of("cell", cell, CELLS)]
        checks.positive_int("hidden_size", hidden_size)
        checks.positive_int("num_layers", num_layers)
        self.dropout = checks.probability("dropout", dropout)
        boolean("bidirectional", bidirectional)
        form = ATTENTIONS[checks.one_of("attention", attention, ATTENTIONS)]
        self._begin, self._end = _markers(spec)

        def layers(size: int, both: bool) -> nn.RNNBase:
            return kernel(size, hidden_size, num_layers, batch_first=True, bidirectional=both)

        inputs, size = input_layer(spec, embedding_size, default=hidden_size)
        self.encoder = Encoder(inputs, layers(size, bidirectional))
        memory_size, target_size = self.encoder.output_size, embedding_size or hidden_size
        self.decoder = Decoder(
            vocabulary_size=spec.output_size,
            padding_index=spec.padding_index,
            embedding_size=target_size,
            recurrent=layers(target_size, False),
            attention=form(hidden_size, memory_size, hidden_size),
            memory_size=memory_size,
        )

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor | None,
        targets: Tensor,
        masks: Seq2SeqMasks | None = None,
    ) -> Tensor:
        """Logits for every target step.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            targets: batch x target time of tokens, end marker included.
            masks: from `draw_masks`; None for no dropout and the true token fed at every step.

        Returns:
            batch x target time x output_size.

        """
        masks = masks or Seq2SeqMasks()
        source, state = self.encode(inputs, lengths, masks.encoder)
        before = torch.cat([targets.new_full((len(targets), 1), self._begin), targets[:, :-1]], dim=1)
        if masks.forced is None:
            logits: Tensor = self.decoder(before, state, source, masks.decoder)
            return logits
        return self._sampled(before, state, source, masks)

    def encode(
        self, inputs: Tensor, lengths: Tensor | None, masks: tuple[Tensor, ...] | None = None
    ) -> tuple[Source, Any]:
        """The source as the decoder needs it, and the decoder's first state; shapes as in `forward`."""
        memory, summary = self.encoder(inputs, lengths, masks)
        mask = None
        if lengths is not None:
            mask = torch.arange(memory.shape[1], device=memory.device) < lengths.unsqueeze(1)
        return Source(memory, self.decoder.attention.keys(memory), mask), self.decoder.start(summary)

    def _sampled(self, before: Tensor, state: Any, source: Source, masks: Seq2SeqMasks) -> Tensor:
        """Step by step, with the model's own token where the draw says so (Bengio et al. 2015)."""
        assert masks.forced is not None
        tokens = before[:, 0]
        logits: list[Tensor] = []
        for step in range(before.shape[1]):
            at = None if masks.decoder is None else tuple(mask[:, step : step + 1] for mask in masks.decoder)
            if step:
                tokens = torch.where(masks.forced[:, step], before[:, step], logits[-1].argmax(dim=-1))
            scores, state = self.decoder.step(tokens, state, source, at)  # batch x output_size
            logits.append(scores)
        return torch.stack(logits, dim=1)

    @torch.no_grad()
    def generate(self, inputs: Tensor, lengths: Tensor | None, max_length: int | None = None) -> Tensor:
        """The most likely token at every step, until all sequences have ended.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            max_length: steps after which to stop anyway; None means the data's longest target.

        Returns:
            batch x steps of tokens: the end marker is included, what follows it is padding.

        """
        source, state = self.encode(inputs, lengths)
        tokens = torch.full((len(inputs),), self._begin, device=inputs.device)
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        steps: list[Tensor] = []
        for _ in range(self._limit(max_length)):
            logits, state = self.decoder.step(tokens, state, source)
            tokens = logits.argmax(dim=-1).masked_fill(ended, self.spec.padding_index)  # batch
            steps.append(tokens)
            ended = ended | (tokens == self._end)
            if bool(ended.all()):
                break
        return torch.stack(steps, dim=1)

    def draw_masks(
        self, batch: SequenceBatch, generator: torch.Generator, teacher_forcing: float = 1.0
    ) -> Seq2SeqMasks | None:
        """Dropout masks, and which target steps are fed the true token before them.

        Args:
            batch: the batch of this step.
            generator: the trial's own.
            teacher_forcing: probability of the true token, drawn for each step of each sequence.

        """
        masks = Seq2SeqMasks()
        if self.dropout:
            masks = Seq2SeqMasks(
                self._dropout(self.encoder.recurrent, batch.inputs, generator),
                self._dropout(self.decoder.recurrent, batch.targets, generator),
            )
        if teacher_forcing < 1:
            drawn = torch.rand(tuple(batch.targets.shape), generator=generator, device=generator.device)
            masks = masks._replace(forced=drawn < teacher_forcing)
        return None if masks == Seq2SeqMasks() else masks

    def _dropout(self, layers: nn.RNNBase, steps: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        features = layers.hidden_size * (1 + layers.bidirectional)
        sizes = [layers.input_size, *[features] * (layers.num_layers - 1)]
        return tuple(draw_mask((*steps.shape[:2], size), self.dropout, generator) for size in sizes)

    def _limit(self, max_length: int | None) -> int:
        limit = max_length if max_length is not None else self.spec.target_max_length
        if limit is None:
            raise ConfigError(
                f"max_length={max_length}: expected a number, since '{self.spec.name}' sets no bound"
            )
        return limit


def _markers(spec: DataSpec) -> tuple[int, int]:
    """The begin and the end marker of `spec`. Raises ConfigError if it has none."""
    if spec.begin_index is None or spec.end_index is None:
        raise ConfigError(
            f"_target_=seqsweep.models.Seq2Seq: expected data whose targets are sequences of tokens, "
            f"and those of '{spec.name}' are not"
        )
    return spec.begin_index, spec.end_index
