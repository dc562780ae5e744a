"""Jagged examples give the batches that padded ones would."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.data import Examples
from seqsweep.data.jagged import Jagged


@given(st.data())
def test_padded_as_by_hand(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    features = data.draw(st.sampled_from([(), (3,)]))
    values = torch.arange(1, sum(lengths) + 1).reshape(-1, *[1] * len(features)).expand(-1, *features)
    jagged = Jagged.of(values, torch.tensor(lengths), padding=0)
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8)))
    pieces = values.split(lengths)
    expected = torch.nn.utils.rnn.pad_sequence([pieces[i] for i in index], batch_first=True)
    assert torch.equal(jagged.padded(index), expected)


def test_a_batch_knows_its_true_steps_and_widens_small_types() -> None:
    values = torch.tensor([1, 2, 3, 4, 5], dtype=torch.int16)
    examples = Examples(Jagged.of(values, torch.tensor([2, 3])), torch.tensor([0, 1]))
    batch = examples.cut(torch.tensor([1, 0]))
    assert batch.inputs.tolist() == [[3, 4, 5], [1, 2, 0]]
    assert batch.inputs.dtype == torch.int64
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [3, 2]
    assert batch.mask.sum() == 5


def test_even_stretches_are_not_padded_and_windows_share_the_series() -> None:
    series = torch.arange(10.0).unsqueeze(1)
    windows = Jagged.windows(series, torch.arange(8), 3)
    examples = Examples(windows, torch.zeros(8, 1)).between(2, 8).take(torch.tensor([0, 5]))
    assert isinstance(examples.inputs, Jagged)
    assert examples.inputs.values.data_ptr() == series.data_ptr()
    batch = examples.cut(torch.arange(2))
    assert batch.lengths is None
    assert batch.inputs.squeeze(-1).tolist() == [[2, 3, 4], [7, 8, 9]]
