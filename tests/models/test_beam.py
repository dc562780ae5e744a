"""Beam search over a made-up model whose next token depends on all tokens before."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.model_cases import generator
from seqsweep.models.beam import Markers, beam_search, length_penalty

MARKERS = Markers(begin=1, end=2, padding=0)


class Made:
    """Log-probabilities of the next token, drawn once for every source and every beginning."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.vocabulary, self.seed = vocabulary, seed

    def logs(self, source: int, before: tuple[int, ...]) -> Tensor:
        random = generator(hash((self.seed, source, before)) % 2**31)
        return (3 * torch.randn(self.vocabulary, generator=random, dtype=torch.float64)).log_softmax(0)

    def step(self, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The state is the source's number and the tokens so far."""
        state = torch.cat([state, last.unsqueeze(1)], dim=1)
        rows = [self.logs(row[0], tuple(row[2:])) for row in state.tolist()]
        return torch.stack(rows), state

    def search(self, sources: int, beams: int, limit: int, penalty: float) -> list[list[int]]:
        rows = torch.arange(sources * beams)
        found = beam_search(
            self.step,
            lambda state, index: state[index],
            (rows // beams).unsqueeze(1),
            rows=rows.view(-1, beams),
            limit=limit,
            markers=MARKERS,
            penalty=penalty,
        )
        return [self.cut(row) for row in found.tolist()]

    def cut(self, row: list[int]) -> list[int]:
        """Up to the end marker; what follows must be padding."""
        if MARKERS.end not in row:
            return row
        size = row.index(MARKERS.end) + 1
        assert all(token == MARKERS.padding for token in row[size:])
        return row[:size]

    def score(self, source: int, sequence: tuple[int, ...], penalty: float) -> float:
        total = sum(float(self.logs(source, sequence[:step])[token]) for step, token in enumerate(sequence))
        return total / float(length_penalty(torch.tensor(len(sequence)), penalty))

    def exhaustive(self, source: int, limit: int, penalty: float) -> list[int]:
        """The best of all sequences that end, or are as long as may be."""
        others = [token for token in range(self.vocabulary) if token != MARKERS.end]
        ended = [
            (*start, MARKERS.end) for size in range(limit) for start in itertools.product(others, repeat=size)
        ]
        every = [*ended, *itertools.product(others, repeat=limit)]
        return list(max(every, key=lambda sequence: self.score(source, sequence, penalty)))

    def greedy(self, source: int, limit: int) -> list[int]:
        tokens: list[int] = []
        while len(tokens) < limit and MARKERS.end not in tokens:
            tokens.append(int(self.logs(source, tuple(tokens)).argmax()))
        return tokens


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), limit=st.integers(1, 4), penalty=st.sampled_from([0.0, 0.6, 1.0, 2.0]))
def test_a_beam_for_every_sequence_finds_the_best_of_all(seed: int, limit: int, penalty: float) -> None:
    made = Made(vocabulary=3, seed=seed)
    found = made.search(2, beams=3**limit, limit=limit, penalty=penalty)
    assert found == [made.exhaustive(source, limit, penalty) for source in range(2)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), limit=st.integers(1, 6), penalty=st.sampled_from([0.0, 1.0]))
def test_one_beam_is_greedy(seed: int, limit: int, penalty: float) -> None:
    made = Made(vocabulary=4, seed=seed)
    found = made.search(3, beams=1, limit=limit, penalty=penalty)
    assert found == [made.greedy(source, limit) for source in range(3)]


def test_more_beams_find_likelier_sequences_on_average() -> None:
    def mean(beams: int) -> float:
        made = [Made(vocabulary=4, seed=seed) for seed in range(20)]
        found = [one.search(1, beams, limit=5, penalty=0.0)[0] for one in made]
        return sum(one.score(0, tuple(row), 0.0) for one, row in zip(made, found, strict=True)) / 20

    one, two, eight = mean(1), mean(2), mean(8)
    assert one < two < eight


def test_a_length_penalty_favours_longer_sequences() -> None:
    def mean(penalty: float) -> float:
        found = [Made(vocabulary=4, seed=seed).search(1, 8, 6, penalty)[0] for seed in range(20)]
        return sum(map(len, found)) / 20

    assert mean(0.0) < mean(1.0) < mean(3.0)


def test_the_penalty_is_wus() -> None:
    assert float(length_penalty(torch.tensor(7), 0.6)) == pytest.approx((12 / 6) ** 0.6)
    assert float(length_penalty(torch.tensor(7), 0.0)) == 1
    assert math.isclose(float(length_penalty(torch.tensor(1), 5.0)), 1)


def test_sources_do_not_touch_each_other() -> None:
    made = Made(vocabulary=4, seed=5)
    together = made.search(4, 3, 5, 0.6)
    alone = Made(vocabulary=4, seed=5)
    alone.logs = lambda source, before: made.logs(source + 2, before)  # type: ignore[method-assign]
    assert alone.search(1, 3, 5, 0.6)[0] == together[2]
