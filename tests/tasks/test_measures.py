from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.tasks.measures import Mean


@given(st.lists(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_mean_of_parts_is_the_mean_of_all(parts: list[list[float]]) -> None:
    each, weighted = Mean(), Mean()
    for part in parts:
        each.update(torch.tensor(part))
        weighted.update(torch.tensor(sum(part) / len(part)), len(part))
    flat = [value for part in parts for value in part]
    assert each.compute().item() == pytest.approx(sum(flat) / len(flat), abs=1e-4)
    assert weighted.compute().item() == pytest.approx(sum(flat) / len(flat), abs=1e-4)


def test_not_a_number_is_not_hidden() -> None:
    mean = Mean()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(math.nan), 2)
    assert math.isnan(mean.compute())
    mean.reset()
    mean.update(torch.tensor(1.0), 3)
    mean.update(torch.tensor(4.0), 1)
    assert mean.compute() == 1.75
