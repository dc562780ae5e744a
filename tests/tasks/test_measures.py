from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAUROC

from seqsweep.tasks.measures import AUROC, Mean


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


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(examples: list[tuple[int, int]]) -> None:
    targets = torch.tensor([target for target, _ in examples])
    probabilities = torch.tensor([[told == label for label in range(4)] for _, told in examples]).float()
    areas = []
    for label in range(4):
        own, others = probabilities[targets == label, label], probabilities[targets != label, label]
        pairs = [1.0 if high > low else 0.5 if high == low else 0.0 for high in own for low in others]
        areas += [sum(pairs) / len(pairs)] if pairs else []
    area = AUROC(4)
    area.update(probabilities[:1], targets[:1])
    if len(examples) > 1:
        area.update(probabilities[1:], targets[1:])
    expected = sum(areas) / len(areas) if areas else math.nan
    assert area.compute().item() == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_the_area_is_torchmetrics() -> None:
    random = torch.Generator().manual_seed(0)
    probabilities = torch.randn(200, 5, generator=random).round(decimals=1).softmax(dim=-1)
    targets = torch.randint(5, (200,), generator=random)
    ours, theirs = AUROC(5), MulticlassAUROC(5)
    ours.update(probabilities, targets)
    theirs.update(probabilities, targets)
    assert ours.compute().item() == pytest.approx(theirs.compute().item(), abs=1e-6)
