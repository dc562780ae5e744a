"""Running `nn.RNN`, `nn.LSTM` and `nn.GRU` on padded sequences, with our masks between layers.

The module holds the parameters; how its kernel is called depends on the case:

- no masks, and no direction that would start in the padding: the module itself,
  one kernel call for all layers;
- otherwise one kernel call a layer (a direction, if sequences are padded and the
  layer is bidirectional) over the module's own parameters.

Sequences are not packed. The forward direction meets the padding only after the
last true step, where nothing is read; the backward direction runs over each
sequence reversed within its own length. That gives a packed sequence's outputs
at every true step, keeps lengths on the device, and on a CPU an LSTM needs 1/2
to 1/4 of the time, since PyTorch has no fused kernel for packed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

State = tuple["Tensor", ...]
"""Hidden state, and an LSTM's cell: each (layers * directions) x batch x hidden."""

Weights = Sequence[Sequence["Tensor"]]
"""The parameters of a layer, a list a direction."""

KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}
"""The kernel behind each `torch.nn.RNNBase.mode`."""


def run_layers(
    module: nn.RNNBase,
    steps: Tensor,
    lengths: Tensor | None = None,
    masks: Sequence[Tensor] | None = None,
    state: Any = None,
) -> tuple[Tensor, Any]:
    """The last layer's output at every step, and the state after the last one.

    Args:
        module: an `nn.RNN`, `nn.LSTM` or `nn.GRU` with ``batch_first=True`` and no dropout of its own.
        steps: batch x time x input.
        lengths: batch, each at least 1; None if no sequence is padded.
        masks: one a layer but the last, each batch x time x (directions * hidden).
        state: where to start, (layers * directions) x batch x hidden, a pair of that for an LSTM;
            None means zeros.

    Returns:
        outputs: batch x time x (directions * hidden); rows beyond a sequence's length mean nothing.
        state: as the argument. With `lengths` it has read the padding too: use `last_step` instead.

    """
    if not masks and (lengths is None or not module.bidirectional):
        outputs, state = module(steps, state)
        return outputs, state
    start, ends = _parts(module, steps, state), []
    weights = module.all_weights  # for each layer, for each direction
    directions = 1 + module.bidirectional
    for layer in range(module.num_layers):
        rows = slice(layer * directions, (layer + 1) * directions)
        state = tuple(part[rows] for part in start)
        steps, end = _run_layer(module, weights[rows], steps, lengths, state)
        ends.append(end)
        if masks and layer < module.num_layers - 1:
            steps = steps * masks[layer].to(steps.dtype)
    last = _stacked(ends)
    return steps, last if module.mode == "LSTM" else last[0]


def last_step(outputs: Tensor, lengths: Tensor | None, hidden_size: int) -> Tensor:
    """What each direction holds when it has read its whole sequence.

    That is the last true step for the forward direction and the first step for
    the backward one.

    Args:
        outputs: batch x time x (directions * hidden).
        lengths: batch, each at least 1; None if no sequence is padded.
        hidden_size: units of one direction.

    Returns:
        batch x (directions * hidden).

    """
    forward = outputs[..., :hidden_size]  # batch x time x hidden
    if lengths is None:
        last = forward[:, -1]  # batch x hidden
    else:
        index = (lengths - 1).view(-1, 1, 1).expand(-1, 1, hidden_size)  # batch x 1 x hidden
        last = forward.gather(1, index).squeeze(1)  # batch x hidden
    return torch.cat([last, outputs[:, 0, hidden_size:]], dim=-1)


def reverse(steps: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence reversed within its own length; padding stays where it is.

    Args:
        steps: batch x time x features.
        lengths: batch.

    """
    time = torch.arange(steps.shape[1], device=steps.device)  # time
    ends = lengths.unsqueeze(1)  # batch x 1
    index = torch.where(time < ends, ends - 1 - time, time)  # batch x time
    return steps.gather(1, index.unsqueeze(-1).expand_as(steps))


def _run_layer(
    module: nn.RNNBase, weights: Weights, steps: Tensor, lengths: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """One layer over batch x time x features, both directions if there are two."""
    if len(weights) == 1 or lengths is None:
        return _call(module, weights, steps, state)
    there, end = _call(module, weights[:1], steps, tuple(part[:1] for part in state))
    back, start = _call(module, weights[1:], reverse(steps, lengths), tuple(part[1:] for part in state))
    return torch.cat([there, reverse(back, lengths)], dim=-1), _stacked([end, start])


def _call(module: nn.RNNBase, weights: Weights, steps: Tensor, state: State) -> tuple[Tensor, State]:
    """One kernel call for one layer, in one direction or both."""
    kernel = KERNELS[module.mode]
    first = state if module.mode == "LSTM" else state[0]
    flat = [weight for direction in weights for weight in direction]
    # layers 1, dropout 0: both are ours
    outputs, *end = kernel(steps, first, flat, module.bias, 1, 0.0, module.training, len(weights) == 2, True)
    return outputs, tuple(end)


def _parts(module: nn.RNNBase, steps: Tensor, state: Any) -> State:
    """A module's state argument as a tuple of parts; zeros for None."""
    if state is None:
        layers = module.num_layers * (1 + module.bidirectional)
        zeros = steps.new_zeros(layers, steps.shape[0], module.hidden_size)
        return (zeros, zeros) if module.mode == "LSTM" else (zeros,)
    return tuple(state) if module.mode == "LSTM" else (state,)


def _stacked(states: Sequence[State]) -> State:
    """The states of several layers, or directions, as one."""
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))
