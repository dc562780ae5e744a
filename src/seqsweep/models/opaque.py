"""The loops of `seqsweep.models.loops` as operations that `torch.compile` does not look into.

Traced, a loop over steps becomes as many copies of its body as there are steps: minutes of compiling,
anew for every length. One operation is compiled around, whatever its shapes, and computes the same.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.library import custom_op

from seqsweep.models.loops import LOOPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_kernels = [True]


@contextmanager
def loops_only(wanted: bool) -> Iterator[None]:
    """Within the body what is compiled runs on loops where it could be on kernels, if that is `wanted`.

    A kernel is called between two compiled parts. A CUDA graph is worth most as one, from the batch
    to the loss, and within it the many small operations of a loop cost no launches.
    """
    _kernels.append(not wanted)
    try:
        yield
    finally:
        _kernels.pop()


def has_kernels() -> bool:
    """Whether what runs now may run on kernels; all that is not compiled may."""
    return not torch.compiler.is_compiling() or _kernels[-1]


@custom_op(
    "seqsweep::loop",
    mutates_args=(),
    schema="(str loop, Tensor steps, Tensor start, Tensor? cell, Tensor weight_ih, Tensor weight_hh, "
    "Tensor? bias_ih, Tensor? bias_hh, Tensor? mask) -> Tensor[]",
)
def run(loop: str, *arguments: Any) -> list[Tensor]:
    """`Loop.forward` of the one that `LOOPS` has under this name, its results in memory of their own."""
    made = LOOPS[loop].forward(*arguments)
    shown = _shown(loop) + 1  # views of what is kept, or maybe of the inputs
    copied = [part.clone(memory_format=torch.contiguous_format) for part in made[:shown]]
    return [*copied, *made[shown:]]


@run.register_fake
def _(loop: str, *arguments: Any) -> list[Tensor]:
    steps, start, _, _, _, bias, *_ = arguments
    (batch, time, features), size = steps.shape, start.shape[-1]
    by_time, four, states = (
        (count, batch, width) for count, width in ((time, size), (time, 4 * size), (time + 1, size))
    )
    ends = [(batch, size)] * (_shown(loop) - 1)
    kept = {"gru": [four, states], "lstm": [four, by_time, states, states]}.get(loop, [states])
    read = (time, batch, features + (bias is not None))
    shapes = [(batch, time, size), *ends, read, *kept]
    return [steps.new_empty(shape) for shape in shapes]


@custom_op(
    "seqsweep::loop_backward",
    mutates_args=(),
    schema="(str loop, bool biased, bool wanted, Tensor? to_outputs, Tensor? to_last, Tensor? to_cell, "
    "Tensor weight_ih, Tensor weight_hh, Tensor? mask, Tensor[] kept) -> Tensor[]",
)
def differentiate(loop: str, biased: bool, wanted: bool, *tensors: Any) -> list[Tensor]:
    """`Loop.differentiate`, of its gradients those that there are."""
    *given, weight_ih, weight_hh, mask, kept = tensors
    if LOOPS[loop].overwrites:  # who compiles counts on what an operation was given to stay as it is
        kept = [*kept[:-2], kept[-2].clone(), kept[-1]]
    arguments = (*given[: _shown(loop)], weight_ih, weight_hh, mask, *kept)
    parts = (None if part is None else part.unsqueeze(0) for part in arguments)
    found = LOOPS[loop].differentiate(biased, wanted, *parts)
    return _own(part[0] for part in found if part is not None)


@differentiate.register_fake
def _(loop: str, biased: bool, wanted: bool, *tensors: Any) -> list[Tensor]:
    *_, weight_ih, weight_hh, _, kept = tensors
    steps, states = kept[0], kept[-1]
    ends = [states.shape[1:]] * (_shown(loop) - 1)
    of_steps = [(steps.shape[1], steps.shape[0], weight_ih.shape[1])] if wanted else []
    of_biases = [weight_hh.shape[:1]] * (2 if biased else 0)
    shapes = [*of_steps, *ends, weight_ih.shape, weight_hh.shape, *of_biases]
    return [steps.new_empty(shape) for shape in shapes]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.loop, _, _, _, weight_ih, weight_hh, bias, _, mask = inputs
    ctx.biased = bias is not None
    ctx.save_for_backward(weight_ih, weight_hh, mask, *output[_shown(ctx.loop) :])


def _backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    weight_ih, weight_hh, mask, *kept = ctx.saved_tensors
    shown, wanted = _shown(ctx.loop), ctx.needs_input_grad[1]
    given = (*gradients[:shown], None)[:3]
    found = differentiate(ctx.loop, ctx.biased, wanted, *given, weight_ih, weight_hh, mask, kept)
    to_steps, found = (found[0], found[1:]) if wanted else (None, found)
    to_cell = found.pop(1) if shown == 3 else None
    to_start, to_ih, to_hh, *to_biases = found
    return None, to_steps, to_start, to_cell, to_ih, to_hh, *(to_biases or (None, None)), None


run.register_autograd(_backward, setup_context=_keep)


def _shown(loop: str) -> int:
    """How many results are for the caller: the outputs, the state after the last step, an LSTM's cell."""
    return 3 if loop == "lstm" else 2


def _own(parts: Iterable[Tensor]) -> list[Tensor]:
    """The tensors laid out as their shapes say, from the beginning of their memory."""
    return [part.clone() if part.storage_offset() else part.contiguous() for part in parts]
