from __future__ import annotations

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from seqsweep.cli.hydra_job import values_of
from seqsweep.protocol import Complete, Failed

ONE, TWO = ("loss",), ("loss", "size")


@pytest.mark.parametrize(
    ("returned", "metrics", "values"),
    [
        (0.5, ONE, (0.5,)),
        (2, ONE, (2.0,)),
        (np.float32(0.5), ONE, (0.5,)),
        (np.array(0.5), ONE, (0.5,)),
        (torch.tensor(0.5, requires_grad=True), ONE, (0.5,)),
        ([0.5], ONE, (0.5,)),
        ({"loss": 0.5, "other": "x"}, ONE, (0.5,)),
        ({"size": 3, "loss": torch.tensor(0.5)}, TWO, (0.5, 3.0)),
        (OmegaConf.create({"loss": 0.5}), ONE, (0.5,)),
        ((0.5, 3), TWO, (0.5, 3.0)),
        ([torch.tensor(0.5), np.int64(3)], TWO, (0.5, 3.0)),
        (np.array([0.5, 3.0]), TWO, (0.5, 3.0)),
        (torch.tensor([0.5, 3.0]), TWO, (0.5, 3.0)),
    ],
    ids=repr,
)
def test_what_a_function_returns(
    returned: object, metrics: tuple[str, ...], values: tuple[float, ...]
) -> None:
    assert values_of(returned, metrics) == Complete(values)


@pytest.mark.parametrize(
    ("returned", "metrics", "text"),
    [
        (None, ONE, "the function returned None: expected a number"),
        ("0.5", ONE, "the function returned '0.5': expected a number"),
        (True, ONE, "the function returned True: expected a number"),
        (1j, ONE, "the function returned 1j: expected a number"),
        ([], ONE, "the function returned []: expected a number"),
        (torch.zeros(2), ONE, "the function returned tensor([0., 0.]): expected a number"),
        (0.5, TWO, "the function returned 0.5: expected a number for each of loss, size"),
        ((1, 2, 3), TWO, "the function returned (1, 2, 3): expected a number for each of loss, size"),
        ((1, "x"), TWO, "the function returned (1, 'x'): expected a number for each of loss, size"),
        (np.zeros((2, 2)), TWO, "expected a number for each of loss, size"),
        ({"loss": None}, ONE, "the function returned {'loss': None}: expected a number"),
        (
            {"lose": 1.0},
            ONE,
            "the function returned a mapping without 'loss': expected the keys that hydra.sweeper.metric "
            "names; did you mean 'lose'?",
        ),
        (list(range(1000)), ONE, "the function returned [0, 1, 2, 3, 4, 5, ...]: expected a number"),
    ],
    ids=repr,
)
def test_what_is_no_value(returned: object, metrics: tuple[str, ...], text: str) -> None:
    outcome = values_of(returned, metrics)
    assert isinstance(outcome, Failed)
    assert text in outcome.text
