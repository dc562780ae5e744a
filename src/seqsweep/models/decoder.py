"""The decoder: recurrent layers over the target so far, attention on top of them.

Without input feeding the recurrence does not read the attention's result, so with
the true targets as inputs all steps are one kernel call and one attention
product. With it (Luong et al. 2015, section 3.3) a step waits for the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from seqsweep.models.dropout import apply_mask
from seqsweep.models.layers import run_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqsweep.models.attention import Attention


class Source(NamedTuple):
    """What the decoder keeps of the source; made once a sequence."""

    memory: Tensor
    """batch x source time x memory size: the encoder's outputs."""
    keys: Tensor
    """batch x source time x size: `memory` as the attention scores it."""
    mask: Tensor | None
    """batch x source time, True at true steps; None if nothing is padded."""

    def repeated(self, times: int) -> Source:
        """Each sequence `times` times, side by side."""
        made = (None if part is None else part.repeat_interleave(times, 0) for part in self)
        return Source(*made)  # type: ignore[arg-type]


class DecoderState(NamedTuple):
    """What one step leaves to the next."""

    recurrent: Any
    """layers x batch x hidden, or a pair of that for an LSTM."""
    attentional: Tensor
    """batch x hidden: tanh(V [h; context] + b), which input feeding reads."""

    def rows(self, index: Tensor) -> DecoderState:
        """The state of the sequences that `index` names."""
        parts = self.recurrent
        if isinstance(parts, tuple):
            chosen: Any = tuple(part.index_select(1, index) for part in parts)
        else:
            chosen = parts.index_select(1, index)
        return DecoderState(chosen, self.attentional.index_select(0, index))


class Decoded(NamedTuple):
    """What the decoder gives."""

    logits: Tensor
    """batch x time x vocabulary."""
    weights: Tensor
    """batch x time x source time: where attention was; no source time without attention."""
    state: DecoderState
    """After the last step."""


class Decoder(nn.Module):
    """Target embedding, recurrent layers started from the source, attention, output layer.

    The output at a step is W a with a = tanh(V [h; context] + b), h being the last
    layer's output and the context what attention makes of it (Luong et al. 2015,
    eq. 5).

    Args:
        vocabulary_size: output tokens.
        padding_index: the token that stands for nothing.
        embedding_size: numbers a token is embedded in.
        recurrent: a one-directional `nn.RNNBase` over embeddings, and the `a` of the step before
            with `input_feeding`; ``batch_first=True``, without dropout of its own.
        attention: scores hidden states against the encoder's outputs.
        memory_size: numbers in an encoder output.
        input_feeding: whether a step reads the `a` of the step before (Luong et al. 2015, section 3.3).

    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        padding_index: int,
        embedding_size: int,
        recurrent: nn.RNNBase,
        attention: Attention,
        memory_size: int,
        input_feeding: bool = False,
    ) -> None:
        super().__init__()
        hidden = recurrent.hidden_size
        self.recurrent = recurrent
        self.attention = attention
        self.input_feeding = input_feeding
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=padding_index)
        self.parts = 2 if recurrent.mode == "LSTM" else 1  # hidden state, and an LSTM's cell
        self.bridge = nn.Linear(memory_size, self.parts * recurrent.num_layers * hidden)
        self.combine = nn.Linear(hidden + attention.context_size, hidden)
        self.output = nn.Linear(hidden, vocabulary_size)

    def start(self, summary: Tensor) -> DecoderState:
        """The first state: tanh(W s + b) of the encoder's `summary` (batch x memory size).

        (Bahdanau et al. 2015, appendix A.2.2.)
        """
        layers, hidden = self.recurrent.num_layers, self.recurrent.hidden_size
        states = torch.tanh(self.bridge(summary)).view(-1, self.parts, layers, hidden)
        first, *cell = (part.contiguous() for part in states.permute(1, 2, 0, 3))  # layers x batch x hidden
        return DecoderState((first, *cell) if cell else first, summary.new_zeros(len(summary), hidden))

    def forward(
        self, tokens: Tensor, state: DecoderState, source: Source, masks: tuple[Tensor, ...] | None = None
    ) -> Decoded:
        """Decode steps whose tokens before are known.

        Args:
            tokens: batch x time, what comes before each step, so a begin marker first.
            state: from `start`, or of the steps before.
            source: what is attended to.
            masks: one on the embedded tokens, then one a layer but the last; None for no dropout.

        """
        if not self.input_feeding:
            return self._at_once(tokens, state, source, masks)
        steps: list[Decoded] = []
        for step in range(tokens.shape[1]):
            now = slice(step, step + 1)
            within = None if masks is None else tuple(mask[:, now] for mask in masks)
            steps.append(self._at_once(tokens[:, now], state, source, within))
            state = steps[-1].state
        return joined(steps)

    def _at_once(
        self, tokens: Tensor, state: DecoderState, source: Source, masks: tuple[Tensor, ...] | None
    ) -> Decoded:
        """All steps in one call; with input feeding there may be only one."""
        first, between = (masks[0], masks[1:]) if masks else (None, None)
        steps = apply_mask(self.embedding(tokens), first)  # batch x time x embedding
        if self.input_feeding:
            steps = torch.cat([steps, state.attentional.unsqueeze(1)], dim=-1)
        hidden, recurrent = run_layers(
            self.recurrent, steps, masks=between, state=state.recurrent, explicit=self._explicit(steps)
        )
        contexts, weights = self.attention(hidden, source.keys, source.memory, source.mask)
        attentional = torch.tanh(self.combine(torch.cat([hidden, contexts], dim=-1)))
        return Decoded(self.output(attentional), weights, DecoderState(recurrent, attentional[:, -1]))

    def _explicit(self, steps: Tensor) -> bool:
        """Whether these steps are better off without a kernel."""
        # a CPU's LSTM kernel needs twice the loop's time to go back through single steps
        single = steps.shape[1] == 1 and torch.is_grad_enabled()
        return single and self.recurrent.mode == "LSTM" and steps.device.type == "cpu"


def joined(steps: Sequence[Decoded]) -> Decoded:
    """Pieces of a decoding, one after the other, as one."""
    logits = torch.cat([step.logits for step in steps], dim=1)
    weights = torch.cat([step.weights for step in steps], dim=1)
    return Decoded(logits, weights, steps[-1].state)
