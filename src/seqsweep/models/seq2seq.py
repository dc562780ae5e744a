"""Seq2Seq: an encoder, a decoder, and attention between them if wanted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models.attention import ATTENTIONS
from seqsweep.models.base import Model, SequenceBatch, boolean
from seqsweep.models.beam import Markers, beam_search
from seqsweep.models.decoder import Decoded, Decoder, DecoderState, Source, joined
from seqsweep.models.dropout import draw_masks
from seqsweep.models.embedding import input_layer
from seqsweep.models.encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from seqsweep.spec import DataSpec

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


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
        cell: ``rnn``, ``lstm`` or ``gru``, in the encoder and in the decoder.
        hidden_size: units of one direction of one layer.
        num_layers: layers of the encoder, and of the decoder.
        dropout: probability with which each number is dropped in training, on the
            embedded tokens of both sides and between layers.
        bidirectional: whether the encoder reads the source from its end as well.
        embedding_size: size of a token's vector, on both sides; None means `hidden_size`.
        attention: ``none``, ``additive``, ``dot``, ``general`` or ``concat``; ``dot`` needs encoder outputs
            of the decoder's hidden size, so an encoder with one direction.
        input_feeding: whether a decoder step reads the attention's result at the step before.
        beam_size: sequences that generation keeps side by side; 1 is greedy.
        length_penalty: how much generation with several favours longer ones (`beam.length_penalty`).

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
        input_feeding: bool = False,
        beam_size: int = 1,
        length_penalty: float = 0.0,
    ) -> None:
        super().__init__(spec)
        kernel = CELLS[checks.one_of("cell", cell, CELLS)]
        checks.positive_int("hidden_size", hidden_size)
        checks.positive_int("num_layers", num_layers)
        self.dropout = checks.probability("dropout", dropout)
        boolean("bidirectional", bidirectional)
        form = ATTENTIONS[checks.one_of("attention", attention, ATTENTIONS)]
        boolean("input_feeding", input_feeding)
        self.beam_size = checks.positive_int("beam_size", beam_size)
        self.length_penalty = checks.non_negative_float("length_penalty", length_penalty)
        self._markers = _markers(spec)
        _check_suits(attention, bidirectional, input_feeding)
        if length_penalty and beam_size == 1:
            raise ConfigError(
                f"length_penalty={length_penalty}: expected 0 with beam_size=1, which compares no lengths"
            )

        def layers(size: int, both: bool) -> nn.RNNBase:
            return kernel(size, hidden_size, num_layers, batch_first=True, bidirectional=both)

        inputs, size = input_layer(spec, embedding_size, default=hidden_size)
        self.encoder = Encoder(inputs, layers(size, bidirectional))
        memory_size, target_size = self.encoder.output_size, embedding_size or hidden_size
        self.decoder = Decoder(
            vocabulary_size=spec.output_size,
            padding_index=spec.padding_index,
            embedding_size=target_size,
            recurrent=layers(target_size + hidden_size * input_feeding, False),
            attention=form(hidden_size, memory_size, hidden_size),
            memory_size=memory_size,
            input_feeding=input_feeding,
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
        return self._decoded(inputs, lengths, targets, masks or Seq2SeqMasks()).logits

    def attention_weights(self, inputs: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        """Where attention is when the true targets are fed; arguments as in `forward`.

        Returns:
            batch x target time x source time, each row with sum 1; no source time without attention.

        """
        return self._decoded(inputs, lengths, targets, Seq2SeqMasks()).weights

    def _decoded(
        self, inputs: Tensor, lengths: Tensor | None, targets: Tensor, masks: Seq2SeqMasks
    ) -> Decoded:
        source, state = self.encode(inputs, lengths, masks.encoder)
        first = targets.new_full((len(targets), 1), self._markers.begin)
        before = torch.cat([first, targets[:, :-1]], dim=1)
        if masks.forced is not None:
            return self._sampled(before, state, source, masks)
        decoded: Decoded = self.decoder(before, state, source, masks.decoder)
        return decoded

    def encode(
        self, inputs: Tensor, lengths: Tensor | None, masks: tuple[Tensor, ...] | None = None
    ) -> tuple[Source, DecoderState]:
        """The source as the decoder needs it, and the decoder's first state; shapes as in `forward`."""
        memory, summary = self.encoder(inputs, lengths, masks)
        mask = None
        if lengths is not None:
            mask = torch.arange(memory.shape[1], device=memory.device) < lengths.unsqueeze(1)
        return Source(memory, self.decoder.attention.keys(memory), mask), self.decoder.start(summary)

    def _sampled(self, before: Tensor, state: DecoderState, source: Source, masks: Seq2SeqMasks) -> Decoded:
        """Step by step, with the model's own token where the draw says so (Bengio et al. 2015)."""
        assert masks.forced is not None
        tokens, steps = before[:, :1], list[Decoded]()
        for step in range(before.shape[1]):
            now = slice(step, step + 1)
            within = None if masks.decoder is None else tuple(mask[:, now] for mask in masks.decoder)
            if step:
                own = steps[-1].logits.argmax(dim=-1)  # batch x 1
                tokens = torch.where(masks.forced[:, now], before[:, now], own)
            steps.append(self.decoder(tokens, state, source, within))
            state = steps[-1].state
        return joined(steps)

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor,
        lengths: Tensor | None,
        max_length: int | None = None,
        *,
        beam_size: int | None = None,
        length_penalty: float | None = None,
    ) -> Tensor:
        """The best sequences that are found: token by token, or by beam search.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            max_length: steps after which to stop anyway; None means the data's longest target.
            beam_size: sequences kept side by side; None means the model's.
            length_penalty: how much longer ones are favoured; None means the model's.

        Returns:
            batch x steps of tokens: the end marker is included, what follows it is padding.

        """
        beams = checks.positive_int("beam_size", self.beam_size if beam_size is None else beam_size)
        source, state = self.encode(inputs, lengths)
        limit = self._limit(max_length)
        if beams == 1:
            return self._greedy(source, state, limit)
        rows = torch.arange(len(inputs) * beams, device=inputs.device)
        return beam_search(
            partial(self._log_probabilities, source.repeated(beams)),
            DecoderState.rows,
            state.rows(rows // beams),
            rows=rows.view(-1, beams),
            limit=limit,
            markers=self._markers,
            penalty=self.length_penalty if length_penalty is None else length_penalty,
        )

    def _log_probabilities(
        self, source: Source, tokens: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState]:
        """Of the tokens after `tokens` (rows): rows x vocabulary."""
        decoded = self.decoder(tokens.unsqueeze(1), state, source)
        return decoded.logits.squeeze(1).log_softmax(dim=-1), decoded.state

    def _greedy(self, source: Source, state: DecoderState, limit: int) -> Tensor:
        """The most likely token at every step, until all sequences have ended."""
        size = len(source.memory)
        tokens = torch.full((size, 1), self._markers.begin, device=source.memory.device)
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        steps: list[Tensor] = []
        for _ in range(limit):
            logits, _, state = self.decoder(tokens, state, source)
            tokens = logits.argmax(dim=-1).masked_fill(ended, self._markers.padding)  # batch x 1
            steps.append(tokens)
            ended = ended | (tokens == self._markers.end)
            if bool(ended.all()):
                break
        return torch.cat(steps, dim=1)

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
            source, target = self.encoder.recurrent, self.decoder
            masks = Seq2SeqMasks(
                self._dropout(source, source.input_size, batch.inputs, generator),
                self._dropout(target.recurrent, target.embedding.embedding_dim, batch.targets, generator),
            )
        if teacher_forcing < 1:
            drawn = torch.rand(tuple(batch.targets.shape), generator=generator, device=generator.device)
            masks = masks._replace(forced=drawn < teacher_forcing)
        return None if masks == Seq2SeqMasks() else masks

    def _dropout(
        self, layers: nn.RNNBase, embedded: int, steps: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Masks on the embedded steps, then after each layer but the last."""
        features = layers.hidden_size * (1 + layers.bidirectional)
        sizes = [embedded, *[features] * (layers.num_layers - 1)]
        return draw_masks([(*steps.shape[:2], size) for size in sizes], self.dropout, generator)

    def _limit(self, max_length: int | None) -> int:
        limit = max_length if max_length is not None else self.spec.target_max_length
        if limit is None:
            raise ConfigError(
                f"max_length={max_length}: expected a number, since '{self.spec.name}' sets no bound"
            )
        return limit


def _check_suits(attention: str, bidirectional: bool, input_feeding: bool) -> None:
    """Refuse what does not go together."""
    if attention == "dot" and bidirectional:
        raise ConfigError(
            "attention=dot: expected additive, general or concat with bidirectional=True, "
            "since the encoder's outputs then have twice the size of the decoder's states"
        )
    if attention == "none" and input_feeding:
        raise ConfigError("input_feeding=True: expected false with attention=none, which has nothing to feed")


def _markers(spec: DataSpec) -> Markers:
    """The markers of `spec`. Raises ConfigError if it has none."""
    if spec.begin_index is None or spec.end_index is None:
        raise ConfigError(
            f"_target_=seqsweep.models.Seq2Seq: expected data whose targets are sequences of tokens, "
            f"and those of '{spec.name}' are not"
        )
    return Markers(spec.begin_index, spec.end_index, spec.padding_index)
