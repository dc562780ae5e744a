"""Spans are read off tags as conlleval reads them, and counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqsweep.tasks.spans import SpanReader, SpanScore, matches

NAMES = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")
Span = tuple[int, int, str]


def tensors(rows: list[list[str]], padding: int = 0) -> tuple[Tensor, Tensor]:
    """Tags and mask; what stands at padding plays no role."""
    time = max(len(row) for row in rows)
    tags = torch.tensor([[NAMES.index(tag) for tag in row] + [padding] * (time - len(row)) for row in rows])
    return tags, torch.tensor([[True] * len(row) + [False] * (time - len(row)) for row in rows])


def read(row: str) -> list[Span]:
    """The spans of tags written as one row: begin, end, type."""
    found = SpanReader(NAMES).read(*tensors([row.split()]))
    types = ["", "LOC", "PER"]
    return [
        (step, int(found.stops[0, step]), types[int(found.types[0, step])])
        for step in range(len(row.split()))
        if found.begins[0, step]
    ]


@pytest.mark.parametrize(
    ("row", "spans"),
    [
        ("O O", []),
        ("B-PER", [(0, 1, "PER")]),
        ("B-PER I-PER O", [(0, 2, "PER")]),
        ("B-PER B-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("I-PER I-PER O", [(0, 2, "PER")]),  # begins without B
        ("O I-LOC O I-LOC", [(1, 2, "LOC"), (3, 4, "LOC")]),
        ("B-PER I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),  # another type
        ("I-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")]),
        ("B-PER I-PER B-PER I-PER", [(0, 2, "PER"), (2, 4, "PER")]),
        ("B-LOC O I-LOC", [(0, 1, "LOC"), (2, 3, "LOC")]),
    ],
)
def test_by_hand(row: str, spans: list[Span]) -> None:
    assert read(row) == spans


def conlleval(row: list[str]) -> set[Span]:
    """Its rules for the beginning and the end of a chunk, tag by tag, as its Perl has them."""
    spans, start = set(), None
    before, type_before = "O", ""
    for step, tag in enumerate([*row, "O"]):
        mark, _, kind = tag.partition("-")
        ends = before in "BI" and (mark in "BO" or type_before != kind)
        begins = mark == "B" or (mark == "I" and (before == "O" or type_before != kind))
        if ends and start is not None:
            spans.add((start, step, type_before))
        start = step if begins else start
        before, type_before = mark, kind
    return spans


rows = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=9), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.data(), rows)
def test_the_counts_are_conllevals(data: st.DataObject, true: list[list[str]]) -> None:
    guessed = [data.draw(st.lists(st.sampled_from(NAMES), min_size=len(r), max_size=len(r))) for r in true]
    reader = SpanReader(NAMES)
    counts = matches(
        reader.read(*tensors(guessed, data.draw(st.integers(0, 4)))),
        reader.read(*tensors(true, data.draw(st.integers(0, 4)))),
    )
    pairs = [(conlleval(ours), conlleval(theirs)) for ours, theirs in zip(guessed, true, strict=True)]
    expected = [sum(map(len, column)) for column in zip(*((a & b, a, b) for a, b in pairs), strict=True)]
    assert counts.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(rows)
def test_what_is_right_is_right(true: list[list[str]]) -> None:
    reader = SpanReader(NAMES)
    right, predicted, there = matches(reader.read(*tensors(true)), reader.read(*tensors(true, 3))).tolist()
    assert right == predicted == there == sum(len(conlleval(row)) for row in true)


def test_scores_by_hand() -> None:
    scores = {kind: SpanScore(kind) for kind in ("precision", "recall", "f1")}
    for score in scores.values():
        score.update(torch.zeros(3, dtype=torch.int64))
        assert score.compute() == 0
    for counts in ([1, 2, 4], [1, 2, 1]):
        for score in scores.values():
            score.update(torch.tensor(counts))
    found = {kind: round(float(score.compute()), 4) for kind, score in scores.items()}
    assert found == {"precision": 0.5, "recall": 0.4, "f1": 0.4444}


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (NAMES, True),
        (("B-A-b", "I-A-b", "O"), True),
        (("B", "I", "O"), True),
        (("I-NP", "O"), True),
        (("O",), False),
        (("NOUN", "VERB"), False),
        (("B-PER", "O", "S-PER"), False),
        ((), False),
    ],
)
def test_which_tags_mark_spans(names: tuple[str, ...], read: bool) -> None:
    assert SpanReader.reads(names) is read
