"""The encoder: a source sequence to one vector a step and one for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from seqsweep.models.dropout import apply_mask
from seqsweep.models.layers import last_step, run_layers

if TYPE_CHECKING:
    from torch import Tensor


class Encoder(nn.Module):
    """Embedding (or none) and recurrent layers over a padded source.

    Args:
        inputs: the input layer, to batch x time x size.
        recurrent: an `nn.RNNBase` with ``batch_first=True`` and no dropout of its own.

    """

    def __init__(self, inputs: nn.Module, recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.inputs = inputs
        self.recurrent = recurrent
        self.output_size = recurrent.hidden_size * (1 + recurrent.bidirectional)

    def forward(
        self, inputs: Tensor, lengths: Tensor | None, masks: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            masks: one on the embedded inputs, then one a layer but the last; None for no dropout.

        Returns:
            memory: batch x time x (directions * hidden).
            summary: batch x (directions * hidden), each direction after its whole sequence.

        """
        first, between = (masks[0], masks[1:]) if masks else (None, None)
        memory, _ = run_layers(self.recurrent, apply_mask(self.inputs(inputs), first), lengths, between)
        return memory, last_step(memory, lengths, self.recurrent.hidden_size)
