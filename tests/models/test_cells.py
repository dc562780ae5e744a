"""The cells from their equations, against torch.nn where it has them and by hand where it has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.model_cases import generator
from seqsweep.models.cells import CELLS, GRUCell, unroll, weights_of
from seqsweep.models.explicit import ExplicitGRU, ExplicitLSTM, ExplicitRNN
from seqsweep.models.layers import last_step, reverse, run_layers

PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "tanh": (nn.RNN, ExplicitRNN, {}),
    "relu": (nn.RNN, ExplicitRNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, ExplicitLSTM, {}),
    "projected lstm": (nn.LSTM, ExplicitLSTM, {"proj_size": 2}),
    "gru": (nn.GRU, ExplicitGRU, {}),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


@dataclass(frozen=True)
class Case:
    """Layers and a padded batch; `hidden` is above 2, the projection's size."""

    kind: str
    inputs: int
    hidden: int
    layers: int
    both: bool
    bias: bool
    lengths: list[int]
    dtype: torch.dtype
    seed: int

    def twins(self) -> tuple[nn.RNNBase, nn.RNNBase]:
        plain, explicit, options = PAIRS[self.kind]
        sizes, options = (self.inputs, self.hidden, self.layers), {"bidirectional": self.both} | options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            theirs = plain(*sizes, batch_first=True, bias=self.bias, **options).to(self.dtype)
            ours = explicit(*sizes, bias=self.bias, **options).to(self.dtype)
        ours.load_state_dict(theirs.state_dict())
        return theirs, ours

    def steps(self) -> Tensor:
        size = (len(self.lengths), max(self.lengths), self.inputs)
        drawn = torch.randn(size, generator=generator(self.seed), dtype=torch.float64)
        return drawn.to(self.dtype).requires_grad_()

    def state(self, module: nn.RNNBase) -> Any:
        rows, random = self.layers * (1 + self.both), generator(self.seed + 1)
        sizes = [module.proj_size or self.hidden, self.hidden][: 1 + (module.mode == "LSTM")]
        parts = [
            torch.randn(rows, len(self.lengths), size, generator=random, dtype=torch.float64).to(self.dtype)
            for size in sizes
        ]
        return tuple(parts) if len(parts) == 2 else parts[0]


CASES = st.builds(
    Case,
    kind=st.sampled_from(list(PAIRS)),
    inputs=st.integers(1, 5),
    hidden=st.integers(3, 6),
    layers=st.integers(1, 3),
    both=st.booleans(),
    bias=st.booleans(),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    dtype=st.sampled_from(list(TOLERANCE)),
    seed=st.integers(0, 999),
)


def weighted(outputs: Tensor, state: Any) -> Tensor:
    """A number on which every output and state has an influence of its own."""
    parts = [outputs, *(state if isinstance(state, tuple) else (state,))]
    return torch.stack(
        [(part * torch.linspace(-1, 1, part.numel()).view_as(part)).sum() for part in parts]
    ).sum()


QUIET = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@QUIET
@settings(max_examples=60, deadline=None)
@given(case=CASES)
def test_outputs_states_and_gradients_are_those_of_torch(case: Case) -> None:
    check_against_torch(case)


@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_so_they_are_of_large_batches(kind: str) -> None:
    """Of many numbers the hyperbolic tangent is found in another way, well above 0 and below it too."""
    check_against_torch(Case(kind, 40, 64, 1, False, True, [3] * 257, torch.float64, seed=0))


@torch.no_grad()
def test_what_is_small_is_not_lost_in_half_precision() -> None:
    module = ExplicitRNN(1, 64).bfloat16()
    for parameter in module.parameters():
        parameter.fill_(parameter is module.weight_ih_l0)
    outputs, _ = run_layers(module, torch.full((257, 1, 1), 1e-3, dtype=torch.bfloat16))
    torch.testing.assert_close(outputs, torch.full_like(outputs, 1e-3), rtol=0.01, atol=0)


def check_against_torch(case: Case) -> None:
    theirs, ours = case.twins()
    results, gradients = [], []
    for module in (theirs, ours):
        steps = case.steps()
        outputs, state = module(steps, case.state(module))
        weighted(outputs, state).backward()
        results.append([outputs, *(state if isinstance(state, tuple) else (state,))])
        gradients.append([steps.grad, *(value.grad for value in module.parameters())])
    close = {"atol": TOLERANCE[case.dtype], "rtol": TOLERANCE[case.dtype]}
    for expected, found in (results, gradients):
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, **close)


@QUIET
@settings(max_examples=40, deadline=None)
@given(case=CASES)
def test_true_steps_and_states_are_those_of_a_packed_sequence(case: Case) -> None:
    theirs, ours = case.twins()
    lengths, steps = torch.tensor(case.lengths), case.steps()
    packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    outputs, expected_state = theirs(packed, case.state(theirs))
    expected = pad_packed_sequence(outputs, batch_first=True)[0]
    found, state = run_layers(ours, steps, lengths, state=case.state(ours), explicit=True)
    close = {"atol": TOLERANCE[case.dtype], "rtol": TOLERANCE[case.dtype]}
    true = torch.arange(steps.shape[1]) < lengths.unsqueeze(1)
    torch.testing.assert_close(found[true], expected[true], **close)
    torch.testing.assert_close(state, expected_state, **close)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_a_state_dict_loads_either_way(kind: str, both: bool) -> None:
    plain, explicit, options = PAIRS[kind]
    theirs = plain(3, 4, 2, bidirectional=both, **options)
    ours = explicit(3, 4, 2, bidirectional=both, **options)
    assert [name for name, _ in theirs.named_parameters()] == [name for name, _ in ours.named_parameters()]
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())


def rows(weights: dict[str, Tensor], name: str, gates: int) -> list[Tensor]:
    return list(weights[name].chunk(gates))


def norm(values: Tensor) -> Tensor:
    return (values - values.mean()) / (values.var(unbiased=False) + 1e-5).sqrt()


def randomised(module: nn.RNNBase) -> nn.RNNBase:
    """All parameters drawn anew, gains and biases included."""
    random = generator(3)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=random, dtype=torch.float64))
    return module


NORMALISED = {
    "tanh": lambda *sizes, **options: ExplicitRNN(*sizes, layer_norm=True, **options),
    "lstm": lambda *sizes, **options: ExplicitLSTM(*sizes, layer_norm=True, **options),
    "projected lstm": lambda *sizes, **options: ExplicitLSTM(*sizes, layer_norm=True, proj_size=2, **options),
    "gru": lambda *sizes, **options: ExplicitGRU(*sizes, layer_norm=True, **options),
    "published gru": lambda *sizes, **options: ExplicitGRU(
        *sizes, layer_norm=True, cell=GRUCell(reset_after=False), **options
    ),
}
NOT_IN_TORCH = {
    **{f"normalised {kind}": make for kind, make in NORMALISED.items()},
    "published gru": lambda *sizes, **options: ExplicitGRU(*sizes, cell=GRUCell(False), **options),
}


def test_a_normalised_rnn_by_hand() -> None:
    module = randomised(NORMALISED["tanh"](3, 4).double())
    w, steps = weights_of(module, 0, backward=False), torch.randn(1, 5, 3, dtype=torch.float64)
    h = torch.zeros(4, dtype=torch.float64)
    for x in steps[0]:  # Ba et al. 2016, eq. 4
        a = w["weight_hh"] @ h + w["weight_ih"] @ x
        h = torch.tanh(norm(a) * w["gain"] + w["bias_ih"] + w["bias_hh"])
    torch.testing.assert_close(module(steps)[0][0, -1], h)


def test_a_normalised_lstm_by_hand() -> None:
    module = randomised(NORMALISED["lstm"](3, 4).double())
    w, steps = weights_of(module, 0, backward=False), torch.randn(1, 5, 3, dtype=torch.float64)
    h = c = torch.zeros(4, dtype=torch.float64)
    for x in steps[0]:  # eq. 20 to 22
        gates = norm(w["weight_hh"] @ h) * w["gain_hh"] + w["bias_hh"]
        gates = gates + norm(w["weight_ih"] @ x) * w["gain_ih"] + w["bias_ih"]
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * (norm(c) * w["gain_cell"] + w["bias_cell"]).tanh()
    torch.testing.assert_close(module(steps)[0][0, -1], h)
    torch.testing.assert_close(module(steps)[1][1][0, 0], c)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_both_grus_by_hand(after: bool, normalised: bool) -> None:
    cell = GRUCell(reset_after=after)
    module = randomised(ExplicitGRU(3, 4, cell=cell, layer_norm=normalised).double())
    w, steps = weights_of(module, 0, backward=False), torch.randn(1, 5, 3, dtype=torch.float64)
    h = torch.zeros(4, dtype=torch.float64)

    def affine(values: Tensor, which: str, part: slice) -> Tensor:
        product, bias = w[f"weight_{which}"][part] @ values, w[f"bias_{which}"][part]
        return norm(product) * w[f"gain_{which}"][part] + bias if normalised else product + bias

    gates, new = slice(0, 8), slice(8, 12)
    for x in steps[0]:
        r, z = (affine(x, "ih", gates) + affine(h, "hh", gates)).sigmoid().chunk(2)
        candidate = r * affine(h, "hh", new) if after else affine(r * h, "hh", new)
        h = (1 - z) * torch.tanh(affine(x, "ih", new) + candidate) + z * h
    torch.testing.assert_close(module(steps)[0][0, -1], h)


def test_what_follows_the_recurrent_mask_and_what_does_not() -> None:
    """The mask is on what the products read; a GRU's leak and an LSTM's cell keep all of it."""
    mask = torch.tensor([[0.0, 2.0, 2.0, 0.0]], dtype=torch.float64)
    steps = torch.randn(1, 5, 3, generator=generator(), dtype=torch.float64)
    for after in (True, False):
        module = randomised(ExplicitGRU(3, 4, cell=GRUCell(reset_after=after)).double())
        w, h = weights_of(module, 0, backward=False), torch.zeros(4, dtype=torch.float64)
        for x in steps[0]:
            (ri, zi, ni), (rh, zh, nh) = (
                (w[f"weight_{which}"] @ values + w[f"bias_{which}"]).chunk(3)
                for which, values in (("ih", x), ("hh", h * mask[0]))
            )
            r, z = (ri + rh).sigmoid(), (zi + zh).sigmoid()
            before = w["weight_hh"][8:] @ (r * h * mask[0]) + w["bias_hh"][8:]
            h = (1 - z) * torch.tanh(ni + (r * nh if after else before)) + z * h
        torch.testing.assert_close(run_layers(module, steps, recurrent_masks=[mask])[0][0, -1], h)

    module = randomised(ExplicitLSTM(3, 4).double())
    w, h = weights_of(module, 0, backward=False), torch.zeros(4, dtype=torch.float64)
    c = h
    for x in steps[0]:
        gates = w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ (h * mask[0]) + w["bias_hh"]
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    torch.testing.assert_close(run_layers(module, steps, recurrent_masks=[mask])[0][0, -1], h)


@pytest.mark.parametrize("kind", CELLS)
def test_a_mask_of_ones_changes_nothing_and_one_of_zeros_forgets_the_state(kind: str) -> None:
    made = {"RNN_TANH": ExplicitRNN, "RNN_RELU": ExplicitRNN, "LSTM": ExplicitLSTM, "GRU": ExplicitGRU}[kind]
    module = randomised(made(3, 4, 2, bidirectional=True).double())
    steps = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    ones = [torch.ones(2, 4, dtype=torch.float64)] * 4
    torch.testing.assert_close(run_layers(module, steps, recurrent_masks=ones)[0], module(steps)[0])
    zeros = [one * 0 for one in ones]
    assert not torch.allclose(run_layers(module, steps, recurrent_masks=zeros)[0], module(steps)[0])
    if kind.startswith("RNN"):  # without the product nothing is left of the step before
        single = randomised(made(3, 4).double())
        without, _ = run_layers(single, steps, recurrent_masks=zeros[:1])
        torch.testing.assert_close(
            without[:, 1:], run_layers(single, steps[:, 1:], recurrent_masks=zeros[:1])[0]
        )


def test_each_layer_and_direction_has_a_mask_of_its_own() -> None:
    module, lengths = randomised(ExplicitGRU(3, 4, 2, bidirectional=True).double()), torch.tensor([5, 3])
    steps = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    masks = list(torch.rand(4, 2, 4, generator=generator(1), dtype=torch.float64).unbind(0))
    expected, start = steps, (torch.zeros(2, 4, dtype=torch.float64),)
    for layer in range(2):
        there, back = (
            unroll(
                module.cell,
                weights_of(module, layer, backward=bool(backward)),
                reverse(expected, lengths) if backward else expected,
                start,
                lengths=lengths,
                mask=masks[2 * layer + backward],
            )[0]
            for backward in range(2)
        )
        expected = torch.cat([there, reverse(back, lengths)], dim=-1)
    found, _ = run_layers(module, steps, lengths, recurrent_masks=masks)
    torch.testing.assert_close(found, expected)


def small(kind: str) -> nn.RNNBase:
    """A layer of the kind, of 2 inputs and 3 units, in double precision."""
    if kind in NOT_IN_TORCH:
        return randomised(NOT_IN_TORCH[kind](2, 3).double())
    _, explicit, options = PAIRS[kind]
    return randomised(explicit(2, 3, **options).double())


@pytest.mark.parametrize("kind", [*PAIRS, *NOT_IN_TORCH])
def test_gradcheck(kind: str) -> None:
    module = small(kind)
    steps = torch.randn(2, 3, 2, generator=generator(), dtype=torch.float64, requires_grad=True)
    lengths, mask = torch.tensor([3, 2]), [torch.tensor([[2.0], [0.5]], dtype=torch.float64)]
    names = [name for name, _ in module.named_parameters()]

    def loss(steps: Tensor, *values: Tensor) -> Tensor:
        at_values = Run(module, lengths, mask)
        given = {f"module.{name}": value for name, value in zip(names, values, strict=True)}
        outputs = functional_call(at_values, given, (steps,))
        return last_step(outputs, lengths, outputs.shape[-1])

    assert torch.autograd.gradcheck(loss, (steps, *module.parameters()))


@pytest.mark.parametrize("kind", [*PAIRS, *NOT_IN_TORCH])
def test_what_is_differentiated_may_be_so_again(kind: str) -> None:
    module = small(kind)
    steps = torch.randn(2, 4, 2, generator=generator(), dtype=torch.float64, requires_grad=True)
    inputs = [steps, *module.parameters()]
    outputs, _ = run_layers(module, steps, torch.tensor([4, 2]))
    ones = torch.ones_like(outputs)
    first, second = (torch.autograd.grad(outputs, inputs, ones, retain_graph=True) for _ in range(2))
    last = torch.autograd.grad(outputs, inputs, ones)
    for one, another, third in zip(first, second, last, strict=True):
        torch.testing.assert_close(one, another, rtol=0, atol=0)
        torch.testing.assert_close(one, third, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(outputs, inputs, ones)


class Run(nn.Module):
    """`run_layers` with what is fixed, as a module that `functional_call` takes."""

    def __init__(self, module: nn.RNNBase, lengths: Tensor, masks: list[Tensor]) -> None:
        super().__init__()
        self.module, self.lengths, self.masks = module, lengths, masks

    def forward(self, steps: Tensor) -> Tensor:
        return run_layers(self.module, steps, self.lengths, recurrent_masks=self.masks)[0]


@pytest.mark.parametrize("kind", [*PAIRS, *NOT_IN_TORCH])
def test_many_at_once_are_as_each_alone(kind: str) -> None:
    """torch.func.vmap over parameters, masks and inputs, and the gradients through it."""
    if kind in NOT_IN_TORCH:
        made = [NOT_IN_TORCH[kind](2, 3, 2, bidirectional=True).double() for _ in range(3)]
    else:
        _, explicit, options = PAIRS[kind]
        made = [explicit(2, 3, 2, bidirectional=True, **options).double() for _ in range(3)]
    parameters, _ = stack_module_state(made)
    random = generator()
    steps = torch.randn(3, 4, 5, 2, generator=random, dtype=torch.float64)
    masks = torch.rand(3, 4, 4, 1, generator=random, dtype=torch.float64)
    lengths = torch.tensor([5, 1, 3, 2])

    def loss(parameters: dict[str, Tensor], steps: Tensor, masks: Tensor) -> Tensor:
        run = Run(made[0], lengths, list(masks.unbind(0)))
        named = {f"module.{name}": value for name, value in parameters.items()}
        return last_step(functional_call(run, named, (steps,)), lengths, 2).square().sum()

    stacked = vmap(grad(loss))(parameters, steps, masks)
    for index, module in enumerate(made):
        alone = grad(loss)(
            {name: value[index] for name, value in parameters.items()}, steps[index], masks[index]
        )
        for name, _ in module.named_parameters():
            torch.testing.assert_close(stacked[name][index], alone[name])


def test_the_state_stays_where_a_sequence_ends() -> None:
    module = randomised(ExplicitLSTM(3, 4).double())
    steps = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    start = (torch.zeros(2, 4, dtype=torch.float64),) * 2
    weights = weights_of(module, 0, backward=False)
    outputs, state = unroll(module.cell, weights, steps, start, lengths=torch.tensor([5, 2]))
    torch.testing.assert_close(outputs[1, 2:], outputs[1, 1].expand(3, 4))
    _, alone = unroll(module.cell, weights, steps[1:, :2], tuple(part[1:] for part in start))
    torch.testing.assert_close([part[1:] for part in state], list(alone))


def test_a_normalised_cell_needs_biases() -> None:
    with pytest.raises(ValueError, match="layer_norm=True: expected bias=True"):
        ExplicitGRU(3, 4, layer_norm=True, bias=False)


def test_gains_start_at_one() -> None:
    module = ExplicitLSTM(3, 4, 2, bidirectional=True, layer_norm=True)
    gains = {name: value for name, value in module.named_parameters() if "gain" in name}
    assert len(gains) == 3 * 4
    assert all((value == 1).all() for value in gains.values())
    offsets = [value for name, value in module.named_parameters() if name.startswith("bias_cell")]
    assert len(offsets) == 4
    assert all((value == 0).all() for value in offsets)
