"""Recurrent layers as one differentiable function over all their steps, for one trial or K at once.

PyTorch's kernels know no trial axis, and autograd through a loop over cells records a
dozen small operations a step. Here the loop runs once forwards and once backwards, with the derivative
written out, each step a handful of operations on a block that K trials share;
`torch.func.vmap` over trials comes out as that leading axis. Steps are
kept as K x time x batch x features, so that the products that need not wait for the state
(of the inputs, and of all gradients with respect to weights) are one product a trial over all steps.

The equations are those of `seqsweep.models.cells`, without layer normalisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch._functorch.autograd_function import custom_function_call
from torch.autograd import Function

if TYPE_CHECKING:
    from torch import Tensor

_sigmoid_backward: Any = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward: Any = torch.ops.aten.tanh_backward.grad_input
_relu_backward: Any = torch.ops.aten.threshold_backward.grad_input
_keeps_graph: Any = torch._C._autograd._get_current_graph_task_keep_graph
"""Whether who differentiates wants to do so again (``retain_graph``)."""

MANY = 2**14
"""Numbers of which four quick operations take less time than a slow one."""


class _Positional(Function):
    """A Function whose arguments are given by place, all of them.

    PyTorch looks at the signature of a Function's `forward` at every call, to fill in what was left out. That
    takes as long as half the steps of a small loop.
    """

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        """What `Function.apply` does after that."""
        if torch._C._are_functorch_transforms_active():
            return custom_function_call(cls, *arguments)
        return super(Function, cls).apply(*arguments)  # type: ignore[misc]


class Loop(_Positional):
    """What the loops have in common: how they are called, and how vmap's axis becomes their leading one.

    Called as ``apply(steps, start, cell, weight_ih, weight_hh, bias_ih, bias_hh, mask)``; all of them
    have a leading trial axis, or none has.

    Args:
        steps: batch x time x input.
        start: batch x hidden, the state before the first step.
        cell: batch x hidden, an LSTM's; None for the others.
        weight_ih, weight_hh, bias_ih, bias_hh: as in ``torch.nn``; the biases may be None.
        mask: batch x hidden, on what the recurrent product reads at every step; or None.

    Returns:
        outputs: batch x time x hidden.
        last: batch x hidden, the state after the last step; of an LSTM the cell follows.
        kept: further tensors, which the derivative needs and nobody else.

    """

    @classmethod
    def forward(cls, *arguments: Any) -> tuple[Tensor, ...]:
        """See the class."""
        if arguments[0].ndim == 4:
            return cls.run(*arguments)
        return tuple(part.select(0, 0) for part in cls.run(*_with_axis(arguments)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep what the derivative needs."""
        _, _, cell, weight_ih, weight_hh, bias, _, mask = inputs
        kept = output[2 if cell is None else 3 :]
        ctx.save_for_backward(weight_ih, weight_hh, mask, *kept)
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        ctx.biased, ctx.state_size = bias is not None, 1 if cell is None else 2

    @classmethod
    def backward(cls, ctx: Any, *gradients: Any) -> Any:
        """By a function of its own where `vmap` has to find its way through it too, or somebody goes on."""
        given = gradients[: 1 + ctx.state_size]
        direct = not (torch.is_grad_enabled() or torch._C._are_functorch_transforms_active())
        find = _Derivative.forward if direct else _Derivative.apply
        return *find(cls, ctx.biased, ctx.needs_input_grad[0], *given, *ctx.saved_tensors), None

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        """The trial axis is the leading one."""
        made = cls.apply(*_leading(info.batch_size, in_dims, arguments))
        return made, (0,) * len(made)

    overwrites: ClassVar[bool] = False
    """Whether `differentiate` does so to the last but one of what was kept."""

    @staticmethod
    def run(*arguments: Any) -> tuple[Tensor, ...]:
        """All steps forwards; arguments and results have the trial axis."""
        raise NotImplementedError

    @staticmethod
    def differentiate(biased: bool, wanted: bool, *tensors: Any) -> tuple[Tensor | None, ...]:
        """All steps backwards: gradients of all arguments but the mask. All have the trial axis.

        What `run` kept may be written over: gradients take its place.

        Args:
            biased: whether there are biases.
            wanted: whether the inputs' gradient is.
            tensors: gradients of outputs, last state and, of an LSTM, last cell, None for those that
                nothing depends on; weight_ih, weight_hh, mask, and what `run` kept.

        """
        raise NotImplementedError


class _Derivative(_Positional):
    """`Loop.differentiate`, of which there is no derivative."""

    @staticmethod
    def forward(loop: type[Loop], biased: bool, wanted: bool, *tensors: Any) -> Any:
        """The gradients, without a trial axis if the loop was called without one."""
        if loop.overwrites and (_keeps_graph() or not tensors[-2].is_contiguous()):
            # it will be wanted again; or vmap has laid out one for all that it maps over
            tensors = (*tensors[:-2], tensors[-2].clone(memory_format=torch.contiguous_format), tensors[-1])
        if next(part for part in reversed(tensors) if part is not None).ndim == 4:
            return loop.differentiate(biased, wanted, *tensors)
        made = loop.differentiate(biased, wanted, *_with_axis(tensors))
        return tuple(None if part is None else part.select(0, 0) for part in made)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        """There is none."""
        raise NotImplementedError("the loops of seqsweep.models can be differentiated once only")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], loop: Any, biased: Any, wanted: Any, *tensors: Any) -> Any:
        """The trial axis is the leading one."""
        tensors = tuple(_leading(info.batch_size, in_dims[3:], tensors))
        made = _Derivative.apply(loop, biased, wanted, *tensors)
        return made, tuple(None if part is None else 0 for part in made)


def _leading(size: int, in_dims: tuple[int | None, ...], arguments: tuple[Any, ...]) -> list[Any]:
    """All arguments with the trial axis in front."""

    def led(value: Tensor, place: int | None) -> Tensor:
        return value.expand(size, *value.shape) if place is None else value.movedim(place, 0)

    pairs = zip(arguments, in_dims, strict=True)
    return [None if value is None else led(value, place) for value, place in pairs]


def _with_axis(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors as those of one trial."""
    return tuple(None if part is None else part.unsqueeze(0) for part in tensors)


def _tanh(values: Tensor, out: Tensor) -> Tensor:
    """Of many numbers on a processor by way of the sigmoid, whose kernel takes a fifth of tanh's time.

    What comes out may be 2e-7 off in single precision, where tanh's own is 3e-8 off; in half precision
    small numbers would be lost.
    """
    if values.numel() < MANY or not values.is_cpu or values.element_size() < 4:
        return torch.tanh(values, out=out)
    return torch.mul(values, 2, out=out).sigmoid_().mul_(2).sub_(1)


def _projected(steps: Tensor, weight: Tensor, bias: Tensor | None, room: int = 0) -> tuple[Tensor, Tensor]:
    """The inputs by time; and what they contribute at all steps, K x time x batch x (gates + room).

    The inputs come out as time x batch, and with a bias one feature longer: a one, of which the bias is
    the weight. So its gradient is a column of the weight's, and no bias has to be laid out for all steps.

    Args:
        steps: K x batch x time x input.
        weight: K x gates x input.
        bias: K x gates.
        room: features left for the caller to fill.

    """
    trials, batch, time, size = steps.shape
    by_time = steps.transpose(1, 2)
    if bias is None:
        read = by_time.contiguous()
    else:
        read = steps.new_ones(trials, time, batch, size + 1)
        read[..., :size] = by_time
        weight = torch.cat([weight, bias.unsqueeze(2)], dim=2)
    gates = weight.shape[1]
    made = steps.new_empty(trials, time * batch, gates + room)
    torch.bmm(read.flatten(1, 2), weight.transpose(1, 2), out=made[..., :gates])
    return read, made.view(trials, time, batch, gates + room)


def _joined(left: Tensor, right: Tensor) -> Tensor:
    """Gradient of a weight, or the same turned round: a product over all steps, K x left x right.

    Inputs, which may be few, go before the gradient of their products: the other way round a few
    numbers beside many gates take up to seven times as long.

    Args:
        left: K x time x batch x features.
        right: the same, with features of its own.

    """
    return torch.bmm(left.flatten(1, 2).transpose(1, 2), right.flatten(1, 2))


def _parted(joined: Tensor, biased: bool) -> tuple[Tensor, Tensor | None]:
    """Gradients of the input's weight and bias from what `_joined` makes of `_projected`'s inputs."""
    weight, bias = (joined[:, :-1], joined[:, -1]) if biased else (joined, None)
    return weight.transpose(1, 2), bias


def _twice(gradient: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The gradient of each of two biases that are added; not one tensor, since it may be scaled in place."""
    return gradient, None if gradient is None else gradient.clone()


def _to_steps(gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient of the inputs, K x batch x time x input, from that of their products."""
    flat = torch.bmm(gradient.flatten(1, 2), weight)
    return flat.view(*gradient.shape[:3], -1).transpose(1, 2)


def _slices(values: Tensor, size: int) -> list[tuple[Tensor, ...]]:
    """The gates of `values`, K x time x batch x (gates * size), each as K x batch x size a step."""
    return [part.unbind(1) for part in values.chunk(values.shape[-1] // size, dim=-1)]


class RNNLoop(Loop):
    """`cells.RNNCell`; see `Loop`."""

    @staticmethod
    def function(values: Tensor) -> Tensor:
        """In place."""
        raise NotImplementedError

    @staticmethod
    def derivative(gradient: Tensor, after: Tensor, out: Tensor) -> Tensor:
        """Of the sum, from that of the state."""
        raise NotImplementedError

    @classmethod
    def run(cls, *arguments: Any) -> tuple[Tensor, ...]:
        """Kept are the inputs by time and all states."""
        steps, start, _, weight_ih, weight_hh, bias_ih, bias_hh, mask = arguments
        bias = None if bias_ih is None else bias_ih + bias_hh
        steps, sums = _projected(steps, weight_ih, bias)
        trials, time, batch, size = sums.shape
        states = sums.new_empty(trials, time + 1, batch, size)
        states[:, 0] = start
        turned = weight_hh.transpose(1, 2).contiguous()
        each = states.unbind(1)
        for hidden, after, step in zip(each[:-1], each[1:], sums.unbind(1), strict=True):
            torch.baddbmm(step, hidden if mask is None else hidden * mask, turned, out=after)
            cls.function(after)
        return states[:, 1:].transpose(1, 2), states[:, -1], steps, states

    @classmethod
    def differentiate(cls, biased: bool, wanted: bool, *tensors: Any) -> tuple[Tensor | None, ...]:
        """See `Loop.differentiate`."""
        to_outputs, to_last, weight_ih, weight_hh, mask, steps, states = tensors
        found = torch.empty_like(states[:, 1:])
        to_state = torch.zeros_like(states[:, 0]) if to_last is None else to_last.clone()
        given = [None] * found.shape[1] if to_outputs is None else to_outputs.unbind(2)
        for out, after, to_sum in reversed(
            list(zip(given, states[:, 1:].unbind(1), found.unbind(1), strict=True))
        ):
            if out is not None:
                to_state += out
            cls.derivative(to_state, after, to_sum)
            torch.bmm(to_sum, weight_hh, out=to_state)
            if mask is not None:
                to_state.mul_(mask)
        read = states[:, :-1] if mask is None else states[:, :-1] * mask.unsqueeze(1)
        to_ih, to_bias = _parted(_joined(steps, found), biased)
        to_steps = _to_steps(found, weight_ih) if wanted else None
        return to_steps, to_state, None, to_ih, _joined(found, read), *_twice(to_bias)


class TanhLoop(RNNLoop):
    """With tanh."""

    @staticmethod
    def function(values: Tensor) -> Tensor:
        """In place."""
        return _tanh(values, out=values)

    @staticmethod
    def derivative(gradient: Tensor, after: Tensor, out: Tensor) -> Tensor:
        """Of the sum, from that of the state."""
        made: Tensor = _tanh_backward(gradient, after, grad_input=out)
        return made


class ReluLoop(RNNLoop):
    """With relu."""

    @staticmethod
    def function(values: Tensor) -> Tensor:
        """In place."""
        return torch.relu_(values)

    @staticmethod
    def derivative(gradient: Tensor, after: Tensor, out: Tensor) -> Tensor:
        """Of the sum, from that of the state."""
        made: Tensor = _relu_backward(gradient, after, 0, grad_input=out)
        return made


class GRULoop(Loop):
    """`cells.GRUCell` with the reset after the product; see `Loop`."""

    overwrites = True

    @staticmethod
    def run(*arguments: Any) -> tuple[Tensor, ...]:
        """Kept are: inputs by time; gates n, r, z and the candidate's recurrent product; all states."""
        steps, start, _, weight_ih, weight_hh, bias_ih, bias_hh, mask = arguments
        size = start.shape[-1]
        before = bias = None
        if bias_hh is not None:  # of r and z the recurrent bias is as good as the input's
            of_rz = bias_ih[:, : 2 * size] + bias_hh[:, : 2 * size]
            before = torch.cat([bias_ih[:, 2 * size :], of_rz], dim=1)
            bias = bias_hh[:, None, 2 * size :]
        steps, gates = _projected(steps, weight_ih.roll(size, dims=1), before, room=size)
        trials, time, batch, _ = gates.shape
        states = gates.new_empty(trials, time + 1, batch, size)
        states[:, 0] = start
        product = gates.new_empty(trials, batch, 3 * size)
        of_gates, of_candidate = product[..., : 2 * size], product[..., 2 * size :]
        turned = weight_hh.transpose(1, 2).contiguous()
        each = states.unbind(1)
        for hidden, after, rz, n, r, z, candidate in zip(
            each[:-1],
            each[1:],
            gates[..., size : 3 * size].unbind(1),
            *_slices(gates, size),
            strict=True,
        ):
            torch.bmm(hidden if mask is None else hidden * mask, turned, out=product)
            rz.add_(of_gates).sigmoid_()
            if bias is None:
                candidate.copy_(of_candidate)
            else:
                torch.add(of_candidate, bias, out=candidate)
            _tanh(n.addcmul_(r, candidate), out=n)
            torch.lerp(n, hidden, z, out=after)
        return states[:, 1:].transpose(1, 2), states[:, -1], steps, gates, states

    @staticmethod
    def differentiate(biased: bool, wanted: bool, *tensors: Any) -> tuple[Tensor | None, ...]:
        """See `Loop.differentiate`."""
        to_outputs, to_last, weight_ih, weight_hh, mask, steps, gates, states = tensors
        trials, time, batch, _ = gates.shape
        size = states.shape[-1]
        to_state = torch.zeros_like(states[:, 0]) if to_last is None else to_last.clone()
        to_before, by_product = torch.empty_like(to_state), torch.empty_like(to_state)
        to_rz = gates.new_empty(trials, batch, 2 * size)
        to_r, to_z = to_rz[..., :size], to_rz[..., size:]
        given = [None] * time if to_outputs is None else to_outputs.unbind(2)
        places = zip(
            given,
            states.unbind(1)[:-1],
            gates[..., size : 3 * size].unbind(1),
            gates[..., size:].unbind(1),
            *_slices(gates, size),
            strict=True,
        )
        # Each gradient takes the place of what it is the gradient of, which is in the cache: new memory
        # would come fresh from the system. r, z and the candidate's are what weight_hh saw.
        for out, before, rz, products, n, r, z, candidate in reversed(list(places)):
            if out is not None:
                to_state += out
            torch.sub(before, n, out=to_z).mul_(to_state)
            torch.mul(to_state, z, out=to_before)
            _tanh_backward(to_state.sub_(to_before), n, grad_input=n)
            torch.mul(n, candidate, out=to_r)
            torch.mul(n, r, out=candidate)
            _sigmoid_backward(to_rz, rz, grad_input=rz)
            if mask is None:
                to_before.baddbmm_(products, weight_hh)
            else:
                torch.bmm(products, weight_hh, out=by_product)
                to_before.addcmul_(by_product, mask)
            to_state, to_before = to_before, to_state
        read = states[:, :-1] if mask is None else states[:, :-1] * mask.unsqueeze(1)
        of_inputs = gates[..., : 3 * size]
        to_ih, to_bias_ih = _parted(_joined(steps, of_inputs).roll(-size, dims=2), biased)
        to_hh = _joined(gates[..., size:], read)
        to_bias_hh = to_steps = None
        if to_bias_ih is not None:
            of_n = gates[..., 3 * size :].sum(dim=(1, 2))
            to_bias_hh = torch.cat([to_bias_ih[:, : 2 * size], of_n], dim=1)
        if wanted:
            to_steps = _to_steps(of_inputs, weight_ih.roll(size, dims=1))
        return to_steps, to_state, None, to_ih, to_hh, to_bias_ih, to_bias_hh


class LSTMLoop(Loop):
    """`cells.LSTMCell` without a projection; see `Loop`."""

    @staticmethod
    def run(*arguments: Any) -> tuple[Tensor, ...]:
        """Kept are: inputs by time, gates (i, f, g, o), the cells' tanh, all states, all cells."""
        steps, start, cell, weight_ih, weight_hh, bias_ih, bias_hh, mask = arguments
        bias = None if bias_ih is None else bias_ih + bias_hh
        steps, gates = _projected(steps, weight_ih, bias)
        trials, time, batch, _ = gates.shape
        size = start.shape[-1]
        states, cells = (gates.new_empty(trials, time + 1, batch, size) for _ in range(2))
        states[:, 0], cells[:, 0] = start, cell
        read = gates.new_empty(trials, time, batch, size)
        turned = weight_hh.transpose(1, 2).contiguous()
        product = gates.new_empty(trials, batch, 4 * size)
        places = zip(
            states[:, :-1].unbind(1),
            states[:, 1:].unbind(1),
            cells[:, :-1].unbind(1),
            cells[:, 1:].unbind(1),
            gates.unbind(1),
            gates[..., : 2 * size].unbind(1),
            *_slices(gates, size),
            read.unbind(1),
            strict=True,
        )
        for hidden, after, before, now, all_four, i_f, i, f, g, o, seen in places:
            torch.bmm(hidden if mask is None else hidden * mask, turned, out=product)
            all_four.add_(product)
            i_f.sigmoid_()
            _tanh(g, out=g)
            o.sigmoid_()
            torch.mul(f, before, out=now).addcmul_(i, g)
            _tanh(now, out=seen)
            torch.mul(o, seen, out=after)
        outputs = states[:, 1:].transpose(1, 2)
        return outputs, states[:, -1], cells[:, -1], steps, gates, read, states, cells

    @staticmethod
    def differentiate(biased: bool, wanted: bool, *tensors: Any) -> tuple[Tensor | None, ...]:
        """See `Loop.differentiate`."""
        to_outputs, to_last, to_last_cell, weight_ih, weight_hh, mask, *kept = tensors
        steps, gates, read, states, cells = kept
        time, size = read.shape[1], read.shape[-1]
        found = torch.empty_like(gates)
        to_state = torch.zeros_like(states[:, 0]) if to_last is None else to_last.clone()
        to_cell = torch.zeros_like(to_state) if to_last_cell is None else to_last_cell.clone()
        scratch = torch.empty_like(to_state)
        given = [None] * time if to_outputs is None else to_outputs.unbind(2)
        places = zip(
            given,
            cells[:, :-1].unbind(1),
            *_slices(gates, size),
            read.unbind(1),
            *_slices(found, size),
            found.unbind(1),
            strict=True,
        )
        for out, before, i, f, g, o, seen, to_i, to_f, to_g, to_o, to_sum in reversed(list(places)):
            if out is not None:
                to_state += out
            _sigmoid_backward(torch.mul(to_state, seen, out=scratch), o, grad_input=to_o)
            to_state.mul_(o)
            to_cell += _tanh_backward(to_state, seen, grad_input=scratch)
            _sigmoid_backward(torch.mul(to_cell, g, out=scratch), i, grad_input=to_i)
            _tanh_backward(torch.mul(to_cell, i, out=scratch), g, grad_input=to_g)
            _sigmoid_backward(torch.mul(to_cell, before, out=scratch), f, grad_input=to_f)
            to_cell.mul_(f)
            torch.bmm(to_sum, weight_hh, out=to_state)
            if mask is not None:
                to_state.mul_(mask)
        earlier = states[:, :-1] if mask is None else states[:, :-1] * mask.unsqueeze(1)
        to_ih, to_bias = _parted(_joined(steps, found), biased)
        to_steps = _to_steps(found, weight_ih) if wanted else None
        return to_steps, to_state, to_cell, to_ih, _joined(found, earlier), *_twice(to_bias)


LOOPS: dict[str, type[Loop]] = {"tanh": TanhLoop, "relu": ReluLoop, "gru": GRULoop, "lstm": LSTMLoop}
"""By name."""
