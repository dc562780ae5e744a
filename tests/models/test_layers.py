from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.model_cases import generator
from seqsweep.models.layers import last_step, reverse, run_layers

KINDS = {
    "tanh": lambda *sizes, **options: nn.RNN(*sizes, batch_first=True, **options),
    "relu": lambda *sizes, **options: nn.RNN(*sizes, batch_first=True, nonlinearity="relu", **options),
    "lstm": lambda *sizes, **options: nn.LSTM(*sizes, batch_first=True, **options),
    "gru": lambda *sizes, **options: nn.GRU(*sizes, batch_first=True, **options),
}


def module(kind: str, layers: int, both: bool, seed: int = 0) -> nn.RNNBase:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = KINDS[kind](3, 4, layers, bidirectional=both).double()
    assert isinstance(made, nn.RNNBase)
    return made


@pytest.mark.parametrize(("kind", "layers", "both"), list(itertools.product(KINDS, (1, 2), (False, True))))
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_true_steps_are_those_of_a_packed_sequence(
    kind: str, layers: int, both: bool, lengths: list[int], seed: int
) -> None:
    recurrent, true = module(kind, layers, both, seed), torch.tensor(lengths)
    steps = torch.randn(len(lengths), max(lengths), 3, generator=generator(seed), dtype=torch.float64)
    packed = pack_padded_sequence(steps, true, batch_first=True, enforce_sorted=False)
    outputs, state = recurrent(packed)
    expected = pad_packed_sequence(outputs, batch_first=True)[0]
    hidden = state[0] if kind == "lstm" else state

    ours, _ = run_layers(recurrent, steps, true)

    mask = torch.arange(steps.shape[1]) < true.unsqueeze(1)
    torch.testing.assert_close(ours[mask], expected[mask])
    directions = hidden[-2:] if both else hidden[-1:]
    torch.testing.assert_close(last_step(ours, true, 4), torch.cat(list(directions), dim=-1))


@pytest.mark.parametrize(("kind", "layers", "both"), list(itertools.product(KINDS, (1, 3), (False, True))))
def test_a_call_a_layer_gives_what_one_call_gives(kind: str, layers: int, both: bool) -> None:
    recurrent = module(kind, layers, both)
    steps = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    size = 4 * (1 + both)
    start = torch.randn(layers * (1 + both), 2, 4, generator=generator(1), dtype=torch.float64)
    state = (start, start + 1) if kind == "lstm" else start
    ones = [torch.ones(2, 5, size, dtype=torch.float64)] * (layers - 1)
    full = torch.full((2,), 5)

    expected, after = run_layers(recurrent, steps, state=state)
    by_layer, after_by_layer = run_layers(recurrent, steps, full, ones, state)

    torch.testing.assert_close(by_layer, expected)
    torch.testing.assert_close(after_by_layer, after)


def test_masks_act_between_layers_only() -> None:
    recurrent = module("gru", 2, False)
    steps = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    nothing = [torch.zeros(2, 5, 4, dtype=torch.float64)]
    outputs, _ = run_layers(recurrent, steps, masks=nothing)
    other, _ = run_layers(recurrent, steps + 1, masks=nothing)
    torch.testing.assert_close(outputs, other)
    assert outputs.abs().sum() > 0


def test_gradients_pass_gradcheck_through_padded_bidirectional_layers() -> None:
    recurrent = module("gru", 2, True)
    steps = torch.randn(2, 3, 3, generator=generator(), dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 2])
    assert torch.autograd.gradcheck(
        lambda x: last_step(run_layers(recurrent, x, lengths)[0], lengths, 4), steps
    )


@pytest.mark.parametrize("kind", ["tanh", "relu", "lstm", "gru"])
def test_last_step_against_a_loop_by_hand(kind: str) -> None:
    recurrent = module(kind, 1, False)
    steps = torch.randn(3, 5, 3, generator=generator(), dtype=torch.float64)
    lengths = torch.tensor([5, 2, 1])
    wi, wh, bi, bh = recurrent.all_weights[0]
    for row, length in enumerate(lengths.tolist()):
        h = c = torch.zeros(4, dtype=torch.float64)
        for x in steps[row, :length]:
            gi, gh = wi @ x + bi, wh @ h + bh
            if kind == "lstm":
                i, f, g, o = (gi + gh).chunk(4)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
            elif kind == "gru":
                (ri, zi, ni), (rh, zh, nh) = gi.chunk(3), gh.chunk(3)
                r, z = (ri + rh).sigmoid(), (zi + zh).sigmoid()
                h = (1 - z) * (ni + r * nh).tanh() + z * h
            else:
                h = (gi + gh).tanh() if kind == "tanh" else (gi + gh).relu()
        ours = last_step(run_layers(recurrent, steps, lengths)[0], lengths, 4)[row]
        torch.testing.assert_close(ours, h)


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_reverse_is_its_own_inverse_and_leaves_padding(lengths: list[int]) -> None:
    true = torch.tensor(lengths)
    steps = torch.arange(len(lengths) * 7 * 2, dtype=torch.float32).view(len(lengths), 7, 2)
    turned = reverse(steps, true)
    torch.testing.assert_close(reverse(turned, true), steps)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(turned[row, :length], steps[row, :length].flip(0))
        torch.testing.assert_close(turned[row, length:], steps[row, length:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_on_any_processor(kind: str, half: torch.dtype) -> None:
    recurrent, steps = module(kind, 2, both=True).float(), torch.randn(5, 7, 3, generator=generator(0))
    whole = run_layers(recurrent, steps, torch.tensor([7, 3, 1, 7, 2]))[0]
    enabled = torch.backends.mkldnn.enabled
    with torch.autocast("cpu", dtype=half):
        outputs = run_layers(recurrent, steps, torch.tensor([7, 3, 1, 7, 2]))[0]
    outputs.float().sum().backward()
    assert torch.backends.mkldnn.enabled == enabled
    assert torch.allclose(outputs.float(), whole, atol=0.02)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in recurrent.parameters())
