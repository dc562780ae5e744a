from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data.splitting import check_held_out, holdout, stratified_holdout
from seqsweep.errors import ConfigError

seeds = st.integers(0, 2**32)


@given(st.data(), st.integers(0, 200), seeds)
@settings(deadline=None)
def test_holding_out_makes_a_partition(data: st.DataObject, count: int, seed: int) -> None:
    size = data.draw(st.integers(0, count))
    kept, held = holdout(count, size, seed)
    assert len(held) == size
    assert sorted([*kept, *held]) == list(range(count))
    again = holdout(count, size, seed)
    assert np.array_equal(kept, again[0])
    assert np.array_equal(held, again[1])


@given(st.data(), st.lists(st.integers(0, 6), max_size=200), seeds)
@settings(deadline=None)
def test_stratified_parts_keep_each_classes_share(data: st.DataObject, labels: list[int], seed: int) -> None:
    size = data.draw(st.integers(0, len(labels)))
    array = np.array(labels, dtype=np.int64)
    kept, held = stratified_holdout(array, size, seed)
    assert len(held) == size
    assert sorted([*kept, *held]) == list(range(len(labels)))
    counts = {label: labels.count(label) for label in set(labels)}
    if size <= len(labels) - len(counts):  # then each class has one that stays
        assert set(array[kept].tolist()) == set(labels)
    if size <= len(labels) / 2 and 1 not in counts.values():
        for label, count in counts.items():
            share = size * count / len(labels)
            assert abs(int((array[held] == label).sum()) - share) < 1


def test_seeds_draw_differently() -> None:
    assert not np.array_equal(holdout(100, 20, 0)[1], holdout(100, 20, 1)[1])
    labels = np.arange(100) % 5
    assert not np.array_equal(stratified_holdout(labels, 20, 0)[1], stratified_holdout(labels, 20, 1)[1])


@pytest.mark.parametrize("size", [-1, 4])
def test_more_than_there_is_cannot_be_held_out(size: int) -> None:
    with pytest.raises(ValueError, match=f"cannot hold out {size} of 3"):
        holdout(3, size, 0)
    with pytest.raises(ValueError, match=f"cannot hold out {size} of 3"):
        stratified_holdout(np.zeros(3, dtype=np.int64), size, 0)


def test_something_must_be_left_to_train_on() -> None:
    check_held_out(10, test_size=4, validation_size=5)
    with pytest.raises(ConfigError, match="validation_size=6: expected fewer than the 6 examples"):
        check_held_out(10, test_size=4, validation_size=6)
    with pytest.raises(ConfigError, match="test_size=10"):
        check_held_out(10, test_size=10, validation_size=1)
