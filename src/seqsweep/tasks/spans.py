"""Spans: names and phrases that tags of the form B-type, I-type and O mark, and how many are found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

TAG = re.compile(r"([BI])(?:-(.*))?|O")


class Spans(NamedTuple):
    """The spans of some rows of tags, each at the step where it begins."""

    begins: Tensor
    """Batch x time of bool."""
    stops: Tensor
    """Batch x time: where a span that begins here has ended."""
    types: Tensor
    """Batch x time: 0 outside of spans."""


class SpanReader:
    """Reads spans off tags as conlleval does (Tjong Kim Sang & Buchholz 2000).

    A span begins at B, and at I where the step before is outside or of another type;
    it goes on over the I of its type.

    Args:
        names: of the tags.

    """

    def __init__(self, names: Sequence[str]) -> None:
        matches = [TAG.fullmatch(name) for name in names]
        marks = [(match[1], match[2] or "") if match and match[1] else None for match in matches]
        types = sorted({mark[1] for mark in marks if mark})
        self._begins = torch.tensor([mark is not None and mark[0] == "B" for mark in marks])
        self._types = torch.tensor([types.index(mark[1]) + 1 if mark else 0 for mark in marks])

    @staticmethod
    def reads(names: Sequence[str]) -> bool:
        """Whether all tags are B-type, I-type or O, and some mark a span."""
        return all(TAG.fullmatch(name) for name in names) and any(name != "O" for name in names)

    def read(self, tags: Tensor, mask: Tensor) -> Spans:
        """The spans.

        Args:
            tags: batch x time.
            mask: batch x time of bool, the true steps.

        """
        types = self._types.to(tags.device)[tags] * mask  # batch x time
        before = torch.cat([torch.zeros_like(types[:, :1]), types[:, :-1]], dim=1)
        begins = (types > 0) & (self._begins.to(tags.device)[tags] | (types != before))
        return Spans(begins, _next(begins | (types == 0)), types)


def _next(marks: Tensor) -> Tensor:
    """For each step the first marked one after it, else the number of steps: batch x time."""
    time = marks.shape[1]
    steps = torch.arange(time, device=marks.device)
    marked = torch.where(marks, steps, time)[:, 1:]
    first = marked.flip(1).cummin(dim=1).values.flip(1)  # batch x (time - 1): at it or after
    return torch.cat([first, torch.full_like(marks[:, :1], time, dtype=first.dtype)], dim=1)


def matches(predicted: Spans, true: Spans) -> Tensor:
    """How many spans are predicted with their exact ends and type, are predicted, are true: (3,)."""
    same = predicted.begins & true.begins
    same &= (predicted.stops == true.stops) & (predicted.types == true.types)
    return torch.stack([same.sum(), predicted.begins.sum(), true.begins.sum()])


class SpanScore(Metric):
    """Precision, recall or F1 of spans over all that it is given (micro average); 0 where there are none.

    Args:
        kind: ``precision``, ``recall`` or ``f1``.

    """

    full_state_update = False
    counts: Tensor

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.add_state("counts", torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, counts: Tensor) -> None:
        """Take in what `matches` counted, (3,)."""
        self.counts += counts

    def compute(self) -> Tensor:
        """The score so far."""
        right, predicted, true = self.counts.unbind()
        of = {"precision": predicted, "recall": true, "f1": (predicted + true) / 2}
        return torch.div(right, of[self.kind].clamp(min=0.5))
