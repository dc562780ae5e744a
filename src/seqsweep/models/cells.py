"""One step of a recurrent layer, from its equations, and the loop over the steps.

A cell is a rule and holds nothing: parameters, inputs, state and masks are handed
in and the next state comes out, so `torch.func.vmap` and `torch.func.grad` go
through it. The parameters have the names that they have in `torch.nn`, without
the layer's suffix: weight_ih, weight_hh, bias_ih, bias_hh and, in an LSTM with a
projection, weight_hr.

Layer normalisation (Ba, Kiros & Hinton 2016) is on where the parameters have
gains. It acts on the products with the weights before the biases are added, so
that the biases of `torch.nn` are those of the normalisation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional as F

from seqsweep.models import opaque
from seqsweep.models.loops import LOOPS

if TYPE_CHECKING:
    from torch import Tensor, nn

State = tuple["Tensor", ...]
"""Hidden state, and an LSTM's cell."""

Weights = Mapping[str, "Tensor"]
"""One layer's parameters in one direction, by name."""


class Cell(ABC):
    """The rule of one step: what can be computed for all steps at once, and what waits for the state."""

    normalised: ClassVar[Mapping[str, int]]
    """Further parameters under layer normalisation, and the size of each in hidden sizes."""
    loop: str | None = None
    """All steps as one function, if `LOOPS` has one; without layer normalisation and projection."""

    @abstractmethod
    def project(self, steps: Tensor, weights: Weights) -> Tensor:
        """What the inputs contribute to the gates.

        Args:
            steps: batch x time x input.
            weights: of the layer.

        Returns:
            batch x time x (gates * hidden).

        """

    @abstractmethod
    def step(self, projected: Tensor, state: State, weights: Weights, mask: Tensor | None) -> State:
        """The state after one step.

        Args:
            projected: batch x (gates * hidden), one step of `project`.
            state: before the step, each part batch x its size.
            weights: of the layer.
            mask: batch x size of the hidden state, on what the products with the recurrent
                weights read of it; None for all of it.

        """


class RNNCell(Cell):
    """h_t = f(W x_t + b + U h_(t-1) + c)   (Elman 1990).

    Normalised, the sum of both products is (Ba et al. 2016, eq. 4).
    """

    normalised: ClassVar[Mapping[str, int]] = {"gain": 1}

    def __init__(self, nonlinearity: str) -> None:
        self._f = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]
        self.loop = nonlinearity

    def project(self, steps: Tensor, weights: Weights) -> Tensor:
        """W x, and b if nothing is normalised."""
        return F.linear(steps, weights["weight_ih"], None if "gain" in weights else weights.get("bias_ih"))

    def step(self, projected: Tensor, state: State, weights: Weights, mask: Tensor | None) -> State:
        """The state after one step."""
        hidden = _masked(state[0], mask)
        if "gain" not in weights:
            return (self._f(projected + F.linear(hidden, weights["weight_hh"], weights.get("bias_hh"))),)
        both = projected + F.linear(hidden, weights["weight_hh"])  # batch x hidden
        bias = weights["bias_ih"] + weights["bias_hh"]
        return (self._f(F.layer_norm(both, both.shape[-1:], weights["gain"], bias)),)


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

    ::

        i, f, o = sigmoid(W x_t + b + U h_(t-1) + c)
        g = tanh(W x_t + b + U h_(t-1) + c)
        c_t = f c_(t-1) + i g
        h_t = R (o tanh(c_t))

    each gate with its own rows of W, U, b and c, which stand in the order i, f, g, o.
    R is the projection (Sak et al. 2014), if there is one. Normalised are both
    products and what of c_t is read (Ba et al. 2016, eq. 20 to 22).
    """

    normalised: ClassVar[Mapping[str, int]] = {"gain_ih": 4, "gain_hh": 4, "gain_cell": 1, "bias_cell": 1}
    loop = "lstm"

    def project(self, steps: Tensor, weights: Weights) -> Tensor:
        """W x + b."""
        return _product(steps, weights, "ih", (4,))

    def step(self, projected: Tensor, state: State, weights: Weights, mask: Tensor | None) -> State:
        """The state after one step."""
        hidden, cell = state
        gates = projected + _product(_masked(hidden, mask), weights, "hh", (4,))
        i, f, g, o = gates.chunk(4, dim=-1)  # each batch x hidden
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        read = cell
        if "gain_cell" in weights:
            read = F.layer_norm(cell, cell.shape[-1:], weights["gain_cell"], weights["bias_cell"])
        hidden = o.sigmoid() * read.tanh()
        if "weight_hr" in weights:
            hidden = F.linear(hidden, weights["weight_hr"])  # batch x projection
        return hidden, cell


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014).

    ::

        r, z = sigmoid(W x_t + b + U h_(t-1) + c)
        n = tanh(W x_t + b + r (U h_(t-1) + c))      reset after the product, as cuDNN has it
        n = tanh(W x_t + b + U (r h_(t-1)) + c)      reset before the product, as published
        h_t = (1 - z) n + z h_(t-1)

    each gate with its own rows of W, U, b and c, which stand in the order r, z, n.
    Normalised are both products, r and z together and n by itself (Ba et al. 2016,
    supplement).
    """

    normalised: ClassVar[Mapping[str, int]] = {"gain_ih": 3, "gain_hh": 3}

    def __init__(self, reset_after: bool = True) -> None:
        self.reset_after = reset_after
        self.loop = "gru" if reset_after else None

    def project(self, steps: Tensor, weights: Weights) -> Tensor:
        """W x + b."""
        return _product(steps, weights, "ih", (2, 1))

    def step(self, projected: Tensor, state: State, weights: Weights, mask: Tensor | None) -> State:
        """The state after one step."""
        size = state[0].shape[-1]
        hidden, widths = _masked(state[0], mask), [2 * size, size]
        gates, new = torch.split(projected, widths, dim=-1)
        if self.reset_after:
            from_state, candidate = torch.split(_product(hidden, weights, "hh", (2, 1)), widths, dim=-1)
            r, z = (gates + from_state).sigmoid().chunk(2, dim=-1)
            new = torch.tanh(new + r * candidate)
        else:
            for_gates, for_new = _rows(weights, "hh", widths)
            r, z = (gates + _product(hidden, for_gates, "hh", (2,))).sigmoid().chunk(2, dim=-1)
            new = torch.tanh(new + _product(r * hidden, for_new, "hh", (1,)))
        return ((1 - z) * new + z * state[0],)


CELLS: dict[str, Cell] = {
    "RNN_TANH": RNNCell("tanh"),
    "RNN_RELU": RNNCell("relu"),
    "LSTM": LSTMCell(),
    "GRU": GRUCell(),
}
"""The rule behind each `torch.nn.RNNBase.mode`."""


def unroll(
    cell: Cell,
    weights: Weights,
    steps: Tensor,
    state: State,
    *,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, State]:
    """The cell over a sequence, one step after the other: by its `Loop` where it has one that will do.

    Args:
        cell: the rule.
        weights: its parameters.
        steps: batch x time x input.
        state: before the first step, each part batch x its size.
        lengths: batch; None if no sequence is padded.
        mask: batch x size of the hidden state, the same at every step (Gal & Ghahramani 2016).

    Returns:
        outputs: batch x time x size of the hidden state; beyond a sequence's length they mean nothing.
        state: after each sequence's last true step.

    """
    if cell.loop is not None and (lengths is None or len(state) == 1) and _is_plain(weights, steps):
        made, end = _looped(cell, weights, steps, state, mask)
        if lengths is None:
            return made, end
        last = (lengths - 1).view(-1, 1, 1).expand(-1, 1, made.shape[-1])  # batch x 1 x hidden
        return made, (made.gather(1, last).squeeze(1),)
    running: Sequence[Tensor | None] = [None] * steps.shape[1]
    if lengths is not None:
        time = torch.arange(steps.shape[1], device=steps.device)
        running = (time < lengths.unsqueeze(1)).unsqueeze(-1).unbind(1)  # a step: batch x 1
    outputs = []
    for projected, true in zip(cell.project(steps, weights).unbind(1), running, strict=True):
        after = cell.step(projected, state, weights, mask)
        state = after if true is None else _where(true, after, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state


def _is_plain(weights: Weights, steps: Tensor) -> bool:
    """Whether a `Loop` knows these weights; it knows nothing of autocast, under which types change."""
    known = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
    return weights.keys() <= known and not torch.is_autocast_enabled(steps.device.type)


def _looped(
    cell: Cell, weights: Weights, steps: Tensor, state: State, mask: Tensor | None
) -> tuple[Any, ...]:
    """The outputs, and the state after the last step, by the cell's loop."""
    assert cell.loop is not None
    start, carried = state if len(state) == 2 else (state[0], None)
    parts = (weights.get(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    mask = None if mask is None else mask.to(steps.dtype)
    arguments = (steps, start, carried, *parts, mask)
    if torch.compiler.is_compiling():
        outputs, *rest = opaque.run(cell.loop, *arguments)
    else:
        outputs, *rest = LOOPS[cell.loop].apply(*arguments)
    return outputs, tuple(rest[: len(state)])


def weights_of(module: nn.RNNBase, layer: int, backward: bool) -> dict[str, Tensor]:
    """The parameters of one layer in one direction, by name without the layer's suffix."""
    suffix = f"_l{layer}_reverse" if backward else f"_l{layer}"
    named = module._parameters.items()  # `named_parameters` takes a tenth of a small step
    return {
        name.removesuffix(suffix): value
        for name, value in named
        if value is not None and name.endswith(suffix)
    }


def _product(values: Tensor, weights: Weights, which: str, groups: tuple[int, ...]) -> Tensor:
    """Values times a weight, and its bias; if there is a gain, normalised in `groups` of gates.

    Args:
        values: ... x size.
        weights: of the layer.
        which: ``ih`` or ``hh``.
        groups: how many gates are normalised together.

    """
    weight, bias = weights[f"weight_{which}"], weights.get(f"bias_{which}")
    if bias is None or f"gain_{which}" not in weights:
        return F.linear(values, weight, bias)
    size = weight.shape[0] // sum(groups)
    widths = [group * size for group in groups]
    products = torch.split(F.linear(values, weight), widths, dim=-1)
    gains, biases = torch.split(weights[f"gain_{which}"], widths), torch.split(bias, widths)
    parts = [
        F.layer_norm(part, part.shape[-1:], gain, offset)
        for part, gain, offset in zip(products, gains, biases, strict=True)
    ]
    return torch.cat(parts, dim=-1)


def _rows(weights: Weights, which: str, widths: list[int]) -> list[dict[str, Tensor]]:
    """The weight, bias and gain named `which`, cut into rows of `widths`."""
    names = [name for name in weights if name.endswith(f"_{which}")]
    cut = [torch.split(weights[name], widths) for name in names]
    return [dict(zip(names, parts, strict=True)) for parts in zip(*cut, strict=True)]


def _masked(hidden: Tensor, mask: Tensor | None) -> Tensor:
    return hidden if mask is None else hidden * mask.to(hidden.dtype)


def _where(true: Tensor, after: State, before: State) -> State:
    """`after` in the rows where `true` (batch x 1), else `before`."""
    return tuple(torch.where(true, new, old) for new, old in zip(after, before, strict=True))
