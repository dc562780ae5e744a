"""Initial values of recurrent layers, other than those of ``torch.nn``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def uniform(module: nn.RNNBase) -> None:
    """Leave what ``torch.nn`` has drawn: uniform numbers up to 1 / sqrt(hidden size)."""


@torch.no_grad()
def orthogonal(module: nn.RNNBase) -> None:
    """Make the recurrent weights of each gate orthogonal (Saxe et al. 2014)."""
    for weight in _named(module, "weight_hh"):
        for gate in torch.split(weight, module.hidden_size):
            nn.init.orthogonal_(gate)


@torch.no_grad()
def identity(module: nn.RNNBase) -> None:
    """IRNN: recurrent weights the identity, biases 0, input weights N(0, 0.001²) (Le et al. 2015)."""
    for weight in _named(module, "weight_hh"):
        nn.init.eye_(weight)
    for bias in _named(module, "bias"):
        bias.zero_()
    for weight in _named(module, "weight_ih"):
        nn.init.normal_(weight, std=0.001)


@torch.no_grad()
def forget_bias(module: nn.RNNBase, value: float) -> None:
    """Make the bias of an LSTM's forget gates `value` (Gers et al. 2000; Jozefowicz et al. 2015)."""
    forget = slice(module.hidden_size, 2 * module.hidden_size)  # of i, f, g, o
    for bias in _named(module, "bias_ih"):
        bias[forget] = value
    for bias in _named(module, "bias_hh"):
        bias[forget] = 0


INITIALIZATIONS = {"uniform": uniform, "orthogonal": orthogonal, "identity": identity}
"""Ways to draw recurrent weights, by name."""


def _named(module: nn.RNNBase, start: str) -> Iterator[Tensor]:
    """The parameters of all layers and directions whose name begins with `start`."""
    return (value for name, value in module.named_parameters() if name.startswith(start))
