"""The decoder: recurrent layers over the target so far, attention on top of them.

The recurrence does not read the attention's result (Luong et al. 2015 without
input feeding), so with the true targets as inputs all steps are one kernel call
and one attention product. A decoder that feeds it back would override `forward`
by a loop over `step`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from seqsweep.models.dropout import apply_mask
from seqsweep.models.layers import run_layers

if TYPE_CHECKING:
    from seqsweep.models.attention import Attention


class Source(NamedTuple):
    """What the decoder keeps of the source; made once a sequence."""

    memory: Tensor
    """batch x source time x memory size: the encoder's outputs."""
    keys: Tensor
    """batch x source time x size: `memory` as the attention scores it."""
    mask: Tensor | None
    """batch x source time, True at true steps; None if nothing is padded."""


class Decoder(nn.Module):
    """Target embedding, recurrent layers started from the source, attention, output layer.

    The output at a step is W tanh(V [h; context] + b), h being the last layer's
    output and the context what attention makes of it (Luong et al. 2015, eq. 5).

    Args:
        vocabulary_size: output tokens.
        padding_index: the token that stands for nothing.
        embedding_size: numbers a token is embedded in.
        recurrent: a one-directional `nn.RNNBase` over embeddings, ``batch_first=True``, without dropout.
        attention: scores hidden states against the encoder's outputs.
        memory_size: numbers in an encoder output.

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
    ) -> None:
        super().__init__()
        hidden = recurrent.hidden_size
        self.recurrent = recurrent
        self.attention = attention
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=padding_index)
        self.parts = 2 if recurrent.mode == "LSTM" else 1  # hidden state, and an LSTM's cell
        self.bridge = nn.Linear(memory_size, self.parts * recurrent.num_layers * hidden)
        self.combine = nn.Linear(hidden + memory_size, hidden)
        self.output = nn.Linear(hidden, vocabulary_size)

    def start(self, summary: Tensor) -> Any:
        """The recurrent layers' first state, tanh(W s + b) of the encoder's `summary` (batch x memory size).

        (Bahdanau et al. 2015, appendix A.2.2.)

        Returns:
            layers x batch x hidden, or a pair of that for an LSTM.

        """
        layers, hidden = self.recurrent.num_layers, self.recurrent.hidden_size
        states = torch.tanh(self.bridge(summary)).view(-1, self.parts, layers, hidden)
        first, *cell = (part.contiguous() for part in states.permute(1, 2, 0, 3))  # layers x batch x hidden
        return (first, *cell) if cell else first

    def forward(self, tokens: Tensor, state: Any, source: Source, masks: tuple[Tensor, ...] | None) -> Tensor:
        """Logits for all steps, given the true tokens before each.

        Args:
            tokens: batch x time, what comes before each step, so a begin marker first.
            state: from `start`.
            source: what is attended to.
            masks: one on the embedded tokens, then one a layer but the last; None for no dropout.

        Returns:
            batch x time x vocabulary.

        """
        first, between = (masks[0], masks[1:]) if masks else (None, None)
        hidden, _ = run_layers(
            self.recurrent, apply_mask(self.embedding(tokens), first), None, between, state
        )
        return self._logits(hidden, source)

    def step(
        self, tokens: Tensor, state: Any, source: Source, masks: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Any]:
        """Logits for one step, and the state after it.

        Args:
            tokens: batch, what came before this step.
            state: after the step before, or from `start`.
            source: what is attended to.
            masks: as in `forward`, of one step.

        Returns:
            logits: batch x vocabulary.
            state: for the next step.

        """
        first, between = (masks[0], masks[1:]) if masks else (None, None)
        embedded = apply_mask(self.embedding(tokens.unsqueeze(1)), first)  # batch x 1 x embedding
        hidden, state = run_layers(self.recurrent, embedded, None, between, state)
        return self._logits(hidden, source).squeeze(1), state

    def _logits(self, hidden: Tensor, source: Source) -> Tensor:
        """Batch x time x hidden to batch x time x vocabulary."""
        contexts, _ = self.attention(hidden, source.keys, source.memory, source.mask)
        combined = torch.tanh(self.combine(torch.cat([hidden, contexts], dim=-1)))
        logits: Tensor = self.output(combined)
        return logits
