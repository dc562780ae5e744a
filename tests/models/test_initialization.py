from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.model_cases import NUMBERS, TOKENS
from seqsweep.models import GRU, LSTM, RNN


def drawn(model: Any, spec: Any = NUMBERS, **options: Any) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return dict(model(spec, hidden_size=4, **options).state_dict())


@pytest.mark.parametrize(("model", "plain"), [(RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_defaults_draw_what_torch_draws_in_the_order_of_the_parts(model: Any, plain: Any) -> None:
    weights = drawn(model, TOKENS, num_layers=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = {
            "inputs": nn.Embedding(7, 4, padding_idx=0),
            "recurrent": plain(4, 4, 2),
            "head": nn.Linear(4, 4),
        }
    expected = {
        f"{part}.{name}": value
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("model", "gates"), [(RNN, 1), (LSTM, 4), (GRU, 3)])
@pytest.mark.parametrize("options", [{}, {"explicit_loop": True}, {"layer_norm": True}])
def test_orthogonal_recurrent_weights(model: Any, gates: int, options: dict[str, Any]) -> None:
    weights = drawn(model, num_layers=2, bidirectional=True, recurrent_init="orthogonal", **options)
    recurrent = [value for name, value in weights.items() if "weight_hh" in name]
    assert len(recurrent) == 4
    for weight in recurrent:
        for gate in weight.chunk(gates):
            torch.testing.assert_close(gate @ gate.T, torch.eye(4), atol=1e-5, rtol=0)
    assert len({weight.sum().item() for weight in recurrent}) == 4


def test_orthogonal_columns_of_a_projected_lstm() -> None:
    weight = drawn(LSTM, recurrent_init="orthogonal", projection_size=2)["recurrent.weight_hh_l0"]
    for gate in weight.chunk(4):
        torch.testing.assert_close(gate.T @ gate, torch.eye(2), atol=1e-5, rtol=0)


def test_irnn() -> None:
    weights = drawn(RNN, num_layers=2, nonlinearity="relu", recurrent_init="identity")
    for layer in ("l0", "l1"):
        assert torch.equal(weights[f"recurrent.weight_hh_{layer}"], torch.eye(4))
        assert not weights[f"recurrent.bias_ih_{layer}"].any()
        assert not weights[f"recurrent.bias_hh_{layer}"].any()
        assert 0 < weights[f"recurrent.weight_ih_{layer}"].std() < 0.005


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True}, {"projection_size": 2}, {"bidirectional": True}]
)
def test_forget_bias(options: dict[str, Any]) -> None:
    weights, plain = (drawn(LSTM, num_layers=2, forget_bias=value, **options) for value in (1.5, None))
    forget = slice(4, 8)
    for name, value in weights.items():
        if name.startswith(("recurrent.bias_ih", "recurrent.bias_hh")):
            assert (value[forget] == (1.5 if "_ih_" in name else 0)).all()
            rest = torch.arange(16).div(4, rounding_mode="floor") != 1
            assert torch.equal(value[rest], plain[name][rest])
        else:
            assert torch.equal(value, plain[name])
