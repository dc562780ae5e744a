"""Running recurrent layers on padded sequences, with our masks within and between them.

The module holds the parameters; how they are run depends on the case:

- nothing but the layers themselves, and no direction that would start in the
  padding: the module's own call, one kernel call for all layers;
- masks between layers or residual connections: one kernel call a layer (a
  direction, if sequences are padded and the layer is bidirectional) over the
  module's own parameters;
- what happens between two steps is not the kernel's (recurrent dropout, the cells
  of an `Explicit` module), there is none (an LSTM's projection, on a CPU), the
  state after the last true step is wanted, or our own loop is faster than the kernel
  (an RNN or a GRU in training, on a CPU): the loop over the cells, `cells.unroll`.

Sequences are not packed. The forward direction meets the padding only after the
last true step, where nothing is read; the backward direction runs over each
sequence reversed within its own length. That gives a packed sequence's outputs
at every true step, keeps lengths on the device, and on a CPU an LSTM needs 1/2
to 1/4 of the time, since PyTorch has no fused kernel for packed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from seqsweep.models.cells import CELLS, Cell, State, unroll, weights_of
from seqsweep.models.opaque import has_kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}
"""The kernel behind each `torch.nn.RNNBase.mode`."""


_watched: ContextVar[tuple[nn.RNNBase, list[Tensor]] | None] = ContextVar("watched", default=None)


def run_layers(
    module: nn.RNNBase,
    steps: Tensor,
    lengths: Tensor | None = None,
    masks: Sequence[Tensor] | None = None,
    state: Any = None,
    *,
    recurrent_masks: Sequence[Tensor] | None = None,
    residual: bool = False,
    explicit: bool = False,
) -> tuple[Tensor, Any]:
    """The last layer's output at every step, and the state after the last one.

    Args:
        module: an `nn.RNN`, `nn.LSTM` or `nn.GRU` with ``batch_first=True`` and no dropout of its
            own, or an `Explicit` one.
        steps: batch x time x input.
        lengths: batch, each at least 1; None if no sequence is padded.
        masks: one a layer but the last, each batch x time x (directions * output).
        state: where to start, (layers * directions) x batch x output, for an LSTM a pair with the
            cell's, (layers * directions) x batch x hidden; None means zeros.
        recurrent_masks: one a layer and direction, each batch x output, on the hidden state at
            every step (Gal & Ghahramani 2016).
        residual: add to what leaves a layer what entered it, from the second layer on.
        explicit: run the loop over the cells, whether it is needed or not.

    Returns:
        outputs: batch x time x (directions * output); rows beyond a sequence's length mean nothing.
        state: as the argument. A kernel has read the padding too; with `explicit` it is the state
            after each sequence's last true step.

    """
    true_ends = lengths if explicit else None
    explicit = explicit or bool(recurrent_masks) or not _has_kernel(module, steps)
    backward_padded = module.bidirectional and lengths is not None
    watched = None if torch.compiler.is_compiling() else _watched.get()
    seen = watched[1] if watched is not None and watched[0] is module else None
    if not (explicit or masks or residual or backward_padded or seen is not None):
        return _outside(module, steps, state)  # type: ignore[no-any-return]
    start, ends = _parts(module, zero_state(module, steps) if state is None else state), []
    directions = 1 + module.bidirectional
    for layer in range(module.num_layers):
        rows = slice(layer * directions, (layer + 1) * directions)
        if seen is not None:
            seen.append(_keeping_gradient(steps))
            steps = seen[-1]
        first, before = tuple(part[rows] for part in start), steps
        if explicit:
            within = recurrent_masks[rows] if recurrent_masks else None
            steps, end = _loop(module, layer, steps, lengths, first, masks=within, true_ends=true_ends)
        else:
            steps, end = _kernel(module, layer, steps, lengths, first)
        ends.append(end)
        if masks and layer < module.num_layers - 1:
            steps = steps * masks[layer].to(steps.dtype)
        if residual and layer:
            steps = steps + before
    last = ends[0] if len(ends) == 1 else _stacked(ends)
    return steps, last if module.mode == "LSTM" else last[0]


@contextmanager
def watching(module: nn.RNNBase) -> Iterator[list[Tensor]]:
    """What enters each of `module`'s layers while the body runs, batch x time x features, in order.

    Once something has been differentiated, the gradient stands in each one's ``grad``.
    """
    seen: list[Tensor] = []
    token = _watched.set((module, seen))
    try:
        yield seen
    finally:
        _watched.reset(token)


def output_size(module: nn.RNNBase) -> int:
    """The size of what one direction hands on: the hidden size, or that of an LSTM's projection."""
    return module.proj_size or module.hidden_size


def zero_state(module: nn.RNNBase, like: Tensor) -> Any:
    """The state before the first step: zeros, for as many sequences as `like` has rows, of its type.

    Returns:
        (layers * directions) x batch x output, for an LSTM a pair with the cell's, of the hidden size.

    """
    layers = module.num_layers * (1 + module.bidirectional)
    hidden = like.new_zeros(layers, len(like), output_size(module))
    if module.mode != "LSTM":
        return hidden
    return hidden, like.new_zeros(layers, len(like), module.hidden_size)


def last_step(outputs: Tensor, lengths: Tensor | None, size: int) -> Tensor:
    """What each direction holds when it has read its whole sequence.

    That is the last true step for the forward direction and the first step for
    the backward one.

    Args:
        outputs: batch x time x (directions * size).
        lengths: batch, each at least 1; None if no sequence is padded.
        size: of what one direction hands on.

    Returns:
        batch x (directions * size).

    """
    both = outputs.shape[-1] > size
    forward = outputs[..., :size] if both else outputs  # batch x time x size
    if lengths is None:
        last = forward[:, -1]  # batch x size
    else:
        index = (lengths - 1).view(-1, 1, 1).expand(-1, 1, size)  # batch x 1 x size
        last = forward.gather(1, index).squeeze(1)  # batch x size
    return torch.cat([last, outputs[:, 0, size:]], dim=-1) if both else last


def reverse(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence reversed within its own length; padding stays where it is.

    Args:
        steps: batch x time x features.
        lengths: batch; None if no sequence is padded.

    """
    if lengths is None:
        return steps.flip(1)
    time = torch.arange(steps.shape[1], device=steps.device)  # time
    ends = lengths.unsqueeze(1)  # batch x 1
    index = torch.where(time < ends, ends - 1 - time, time)  # batch x time
    return steps.gather(1, index.unsqueeze(-1).expand_as(steps))


def _has_kernel(module: nn.RNNBase, steps: Tensor) -> bool:
    """Whether PyTorch has a kernel for these layers on the device of `steps`, and none of ours is faster."""
    if hasattr(module, "cell") or not has_kernels():
        return False
    if steps.device.type != "cpu":
        return True
    if module.mode == "LSTM":
        # with a projection, its own way on a CPU is a loop too: a warning, and 6 to 8 % saved
        return not module.proj_size
    # for training, our loop takes 0.55 to 0.85 of a GRU's time, 0.6 to 1.0 of an RNN's (benchmarks/NOTES.md)
    return not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")


def _kernel(
    module: nn.RNNBase, layer: int, steps: Tensor, lengths: Tensor | None, state: State
) -> tuple[Tensor, State]:
    """One layer over batch x time x features by its kernel, both directions if there are two."""
    directions = 1 + module.bidirectional
    weights = module.all_weights[layer * directions : (layer + 1) * directions]
    if directions == 1 or lengths is None:
        return _call(module, weights, steps, state)
    there, end = _call(module, weights[:1], steps, tuple(part[:1] for part in state))
    back, start = _call(module, weights[1:], reverse(steps, lengths), tuple(part[1:] for part in state))
    return torch.cat([there, reverse(back, lengths)], dim=-1), _stacked([end, start])


def _call(
    module: nn.RNNBase, weights: Sequence[Sequence[Tensor]], steps: Tensor, state: State
) -> tuple[Tensor, State]:
    """One kernel call for one layer, in one direction or both; `weights` has a list a direction."""
    kernel = partial(_outside, KERNELS[module.mode])
    first = state if module.mode == "LSTM" else state[0]
    flat = [weight for direction in weights for weight in direction]
    # layers 1, dropout 0: both are ours
    outputs, *end = kernel(steps, first, flat, module.bias, 1, 0.0, module.training, len(weights) == 2, True)
    return outputs, tuple(end)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _outside(call: Callable[..., Any], *arguments: Any) -> Any:
    """The call, left alone by `torch.compile`: traced, a kernel would become a loop, a copy of it a step.

    Under autocast PyTorch hands an LSTM to oneDNN on processors that cannot do that there (half precision
    without AVX-512), which raises; without oneDNN it has a kernel of its own.
    """
    if not (torch.is_autocast_enabled("cpu") and _onednn_lacks(torch.get_autocast_dtype("cpu"))):
        return call(*arguments)
    onednn: Any = torch.backends.mkldnn
    before, onednn.enabled = onednn.enabled, False
    try:
        return call(*arguments)
    finally:
        onednn.enabled = before


@cache
def _onednn_lacks(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there, and this processor does not do that type by it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float16 and not torch.ops.mkldnn._is_mkldnn_fp16_supported()


def _loop(
    module: nn.RNNBase,
    layer: int,
    steps: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    masks: Sequence[Tensor] | None,
    true_ends: Tensor | None,
) -> tuple[Tensor, State]:
    """One layer over batch x time x features step by step, both directions if there are two.

    The state is that after each sequence's last true step if `true_ends`, their lengths, are given.
    """
    cell: Cell = getattr(module, "cell", CELLS[module.mode])
    outputs, ends = [], []
    for backward in range(1 + module.bidirectional):
        weights, first = weights_of(module, layer, bool(backward)), tuple(part[backward] for part in state)
        read = reverse(steps, lengths) if backward else steps
        mask = masks[backward] if masks else None
        given, end = unroll(cell, weights, read, first, lengths=true_ends, mask=mask)
        outputs.append(reverse(given, lengths) if backward else given)
        ends.append(tuple(part.unsqueeze(0) for part in end))
    if len(outputs) == 1:
        return outputs[0], ends[0]
    return torch.cat(outputs, dim=-1), _stacked(ends)


def _parts(module: nn.RNNBase, state: Any) -> State:
    """A module's state as a tuple of parts."""
    return tuple(state) if module.mode == "LSTM" else (state,)


def _stacked(states: Sequence[State]) -> State:
    """The states of several layers, or directions, as one."""
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))


def _keeping_gradient(steps: Tensor) -> Tensor:
    kept = steps if steps.requires_grad else steps.detach().requires_grad_()
    kept.retain_grad()
    return kept
