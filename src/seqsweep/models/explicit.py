"""`nn.RNN`, `nn.LSTM` and `nn.GRU` with their steps taken one by one.

They have the parameters of their ``torch.nn`` namesakes under the same names, so
a state dict loads either way, and give the same results; but what is in between
two steps is open: layer normalisation inside the cell, another rule for the
step, `torch.func.vmap` over the parameters. PyTorch's kernels allow none of it,
and where none of it is needed they are faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from seqsweep.models.cells import CELLS, Cell
from seqsweep.models.layers import run_layers

if TYPE_CHECKING:
    from torch import Tensor


class Explicit(nn.RNNBase):
    """Recurrent layers that run as a loop over `cell`, ``batch_first=True``.

    Args:
        sizes: input_size, hidden_size and num_layers, as in ``torch.nn``.
        cell: the rule of a step; None means the one that ``torch.nn`` has.
        layer_norm: whether the cells are layer-normalised; the gains are further parameters.
        options: of the ``torch.nn`` class.

    """

    def __init__(
        self, *sizes: int, cell: Cell | None = None, layer_norm: bool = False, **options: Any
    ) -> None:
        super().__init__(*sizes, batch_first=True, **options)  # type: ignore[arg-type, misc]
        if layer_norm and not self.bias:
            raise ValueError("layer_norm=True: expected bias=True, since the biases are those of the norm")
        self.cell = cell or CELLS[self.mode]
        for name, size in self.cell.normalised.items() if layer_norm else ():
            start = torch.zeros if name.startswith("bias") else torch.ones
            for layer in range(self.num_layers):
                for suffix in ("", "_reverse")[: 1 + self.bidirectional]:
                    value = nn.Parameter(start(size * self.hidden_size))
                    self.register_parameter(f"{name}_l{layer}{suffix}", value)

    def forward(self, steps: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """As in ``torch.nn``: batch x time x input to the last layer's outputs, and the last state."""
        return run_layers(self, steps, state=state)


class ExplicitRNN(Explicit, nn.RNN):  # type: ignore[misc]
    """`nn.RNN`, step by step."""


class ExplicitLSTM(Explicit, nn.LSTM):  # type: ignore[misc]
    """`nn.LSTM`, step by step."""


class ExplicitGRU(Explicit, nn.GRU):  # type: ignore[misc]
    """`nn.GRU`, step by step; ``cell=GRUCell(reset_after=False)`` makes it the published one."""
