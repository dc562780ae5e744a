from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data import Batches, Examples, Order
from seqsweep.errors import ConfigError

counts = st.integers(0, 300)
sizes = st.integers(1, 40)
seeds = st.integers(0, 2**40)
epochs = st.integers(0, 1000)


def listed(order: Order, epoch: int) -> list[list[int]]:
    return [batch.tolist() for batch in order.batches(epoch)]


def numbered(count: int) -> Examples:
    return Examples(torch.zeros(count, 2, 1), torch.arange(count))


@given(counts, sizes, seeds, epochs, st.booleans(), st.booleans())
@settings(deadline=None)
def test_every_epoch_has_every_example_once(
    count: int, size: int, seed: int, epoch: int, shuffle: bool, bucketed: bool
) -> None:
    cost = torch.arange(count) % 7 if bucketed else None
    order = Order(count, size, shuffle=shuffle, seed=seed, cost=cost)
    batches = listed(order, epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert len(batches) == len(order)
    assert all(1 <= len(batch) <= size for batch in batches)
    assert sum(len(batch) < size for batch in batches) <= 1  # only the rest is smaller


@given(counts, sizes, seeds, epochs)
@settings(deadline=None)
def test_the_order_is_a_function_of_seed_and_epoch_alone(
    count: int, size: int, seed: int, epoch: int
) -> None:
    first = listed(Order(count, size, shuffle=True, seed=seed), epoch)
    other = Order(count, size, shuffle=True, seed=seed)
    other.batches(epoch + 1)  # what was asked for before plays no role
    assert listed(other, epoch) == first


def test_global_generators_are_neither_read_nor_moved() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def seeded(seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    seeded(1)
    undisturbed = draws()
    seeded(1)
    first = listed(Order(100, 8, shuffle=True, seed=3), 2)
    assert draws() == undisturbed
    seeded(2)
    assert listed(Order(100, 8, shuffle=True, seed=3), 2) == first


def test_epochs_and_seeds_differ() -> None:
    orders = [
        listed(Order(100, 10, shuffle=True, seed=seed), epoch) for seed in range(4) for epoch in range(4)
    ]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_the_order_is_the_same_on_every_machine() -> None:
    """Stored runs are reproduced by it: a change here is a change that users see."""
    assert listed(Order(10, 4, shuffle=True, seed=1), 0) == [[4, 1, 6, 7], [0, 5, 9, 2], [3, 8]]


def test_without_shuffle_examples_come_as_they_are() -> None:
    order = Order(5, 2, cost=torch.tensor([5, 1, 4, 2, 3]))
    assert listed(order, 0) == listed(order, 7) == [[0, 1], [2, 3], [4]]


def test_buckets_save_most_of_the_padding() -> None:
    cost = torch.from_numpy(np.random.default_rng(0).integers(1, 50, 5000))
    order = Order(5000, 50, shuffle=True, seed=0, cost=cost)
    padded = sum(int(cost[batch].max()) * len(batch) for batch in order.batches(0))
    assert padded < 1.1 * int(cost.sum())
    longest = [int(cost[batch].max()) for batch in order.batches(0)]
    assert longest != sorted(longest)  # short and long batches still come mixed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": -1}, "batch_size=-1: expected an integer of at least 1"),
        ({"batch_size": 2.5}, "batch_size=2.5: expected an integer of at least 1"),
        ({"batch_size": 2, "seed": -3}, "seed=-3: expected an integer of at least 0"),
    ],
)
def test_wrong_values_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batches(numbered(4), **arguments)


def test_batches_follow_the_epoch_that_is_set() -> None:
    loader = Batches(numbered(20), 6, shuffle=True, seed=5)
    assert len(loader) == 4
    for epoch in (3, 0, 3):
        loader.set_epoch(epoch)
        assert [batch.targets.tolist() for batch in loader] == listed(loader.sampler, epoch)


def test_a_pass_belongs_to_the_epoch_set_when_its_first_batch_is_taken() -> None:
    loader = Batches(numbered(20), 6, shuffle=True, seed=5)
    early = iter(loader)  # Lightning does this before it sets the epoch
    loader.set_epoch(4)
    assert [batch.targets.tolist() for batch in early] == listed(loader.sampler, 4)


def test_a_pass_goes_on_where_its_state_was_taken() -> None:
    loader = Batches(numbered(20), 6, shuffle=True, seed=5)
    loader.set_epoch(2)
    passing = iter(loader)
    seen = [next(passing).targets.tolist() for _ in range(3)]
    again = Batches(numbered(20), 6, shuffle=True, seed=5)
    again.load_state_dict(loader.state_dict())
    again.set_epoch(2)
    assert [*seen, *(batch.targets.tolist() for batch in again)] == listed(loader.sampler, 2)
    assert len(list(again)) == 4  # only the first pass is cut short


def test_a_state_of_another_epoch_cuts_nothing() -> None:
    loader = Batches(numbered(20), 6, shuffle=True)
    loader.load_state_dict({"epoch": 2, "batches": 4})
    loader.set_epoch(3)
    assert len(list(loader)) == 4


def test_no_examples_make_no_batches() -> None:
    loader = Batches(numbered(0), 4, shuffle=True)
    assert len(loader) == 0
    assert list(loader) == []
