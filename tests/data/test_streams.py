"""One long sequence, read in several places at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.data import Examples, Streams
from seqsweep.data.jagged import Jagged


def counting(steps: int) -> Examples:
    """0, 1, 2, ... and what comes after each."""
    table, length = torch.arange(steps + 1, dtype=torch.int16), torch.tensor([steps])
    return Examples(Jagged(table, torch.tensor([0]), length), Jagged(table, torch.tensor([1]), length))


lengths = st.integers(1, 200)
columns = st.integers(1, 9)
steps = st.integers(1, 30)


def read(streams: Streams) -> list[list[int]]:
    """What each row reads over all batches, and after that what the last batch's one row does."""
    batches = list(streams)
    assert len(batches) == len(streams)
    rows: list[list[int]] = [[] for _ in range(len(batches[0]))]
    for batch in batches:
        assert torch.equal(batch.targets, batch.inputs + 1)
        assert batch.lengths is None
        for row, more in zip(rows[-len(batch) :], batch.inputs.tolist(), strict=True):
            row.extend(more)
    return rows


@given(lengths, columns, steps)
def test_with_the_rest_everything_is_read_once_and_in_order(length: int, wide: int, long: int) -> None:
    rows = read(Streams(counting(length), min(wide, length), long, rest=True))
    assert [token for row in rows for token in row] == list(range(length))


@given(lengths, columns, steps)
def test_without_it_less_than_a_column_is_left_out(length: int, wide: int, long: int) -> None:
    wide = min(wide, length)
    rows = read(Streams(counting(length), wide, long))
    assert [token for row in rows for token in row] == list(range(length // wide * wide))
    assert len({len(row) for row in rows}) == 1


@given(lengths, columns, steps, st.integers(1, 4))
def test_parts_are_the_columns(length: int, wide: int, long: int, of: int) -> None:
    wide = min(wide, length)
    whole = list(Streams(counting(length), wide, long))
    parts = [list(Streams(counting(length), wide, long, part=(number, of))) for number in range(of)]
    for place, batch in enumerate(whole):
        own = [part[place] for part in parts]
        assert torch.cat([part.inputs for part in own if part.weight]).equal(batch.inputs)
        mean = sum(part.weight * part.targets.double().mean().item() for part in own) / of
        assert mean == pytest.approx(batch.targets.double().mean().item())


@given(lengths, columns, steps, st.data())
def test_a_pass_goes_on_where_its_state_was_taken(
    length: int, wide: int, long: int, data: st.DataObject
) -> None:
    wide = min(wide, length)
    first, again = Streams(counting(length), wide, long), Streams(counting(length), wide, long)
    done = data.draw(st.integers(0, len(first)))
    first.set_epoch(3)
    passing = iter(first)
    seen = [next(passing).inputs.tolist() for _ in range(done)]
    again.load_state_dict(first.state_dict())
    again.set_epoch(3)
    assert [*seen, *(batch.inputs.tolist() for batch in again)] == [batch.inputs.tolist() for batch in first]


def test_too_few_steps() -> None:
    with pytest.raises(ValueError, match="3 steps cannot be cut into 4 columns"):
        Streams(counting(3), 4, 10)
