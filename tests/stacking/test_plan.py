"""Which trials may be trained as one."""

from __future__ import annotations

import inspect
from operator import attrgetter
from typing import Any

import pytest
import torch

from seqsweep.stacking import plan
from training.tiny import config

GRU = {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": 4}


def verdict(target: str, **settings: Any) -> plan.Verdict:
    optimizer = {"_target_": target, "_partial_": True, "lr": 0.1, **settings}
    return plan.verdict(config(model=GRU, optimizer=optimizer), cpu=True)


@pytest.mark.parametrize("target", plan.OPTIMIZERS)
def test_an_optimiser_s_option_that_a_stack_does_not_know_makes_a_trial_run_alone(target: str) -> None:
    options = set(inspect.signature(attrgetter(target.removeprefix("torch."))(torch)).parameters)
    unknown = options - {"params", *plan.OPTIMIZERS[target], *plan.OF_NODE}
    assert "maximize" in unknown
    for name in unknown:
        assert verdict(target, **{name: True}).reason == f"optimizer.{name}=True is not for a stack"
        assert verdict(target, **{name: False}).key == verdict(target).key
    for name in plan.OPTIMIZERS[target]:
        assert name in options
        assert verdict(target, **{name: 0.5}).key == verdict(target).key
