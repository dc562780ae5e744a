"""Contestants in turn, medians and ratios, and whether they did the same."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOLERANCE, LEAST = 0.02, 2e-3
"""How far a validation's loss may be from another contestant's: relative, and on its own scale."""


class OtherWorkError(Exception):
    """The contestants did not do the same: their times cannot be compared."""


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    folder: Path
    """Everything that is written lies in it."""
    data: Path
    missing: frozenset[str]
    """Data sets that are not there."""
    repeats: int = 5
    device: str = "cpu"
    quick: bool = False
    sizes: tuple[str, ...] = ()
    """Of single runs; empty for all."""


@dataclass(frozen=True)
class Bar:
    """What a figure must reach."""

    value: float
    most: bool = False
    """Whether it must stay below, or else be above."""

    def met(self, figure: float) -> bool:
        return figure <= self.value if self.most else figure >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One line of a table: what each contestant needed in each round, and one's share of another's."""

    what: str
    unit: str
    values: Mapping[str, Sequence[float]]
    ratio: tuple[str, str] | None = None
    """Whose number is divided by whose, round by round; None where one number counts by itself."""
    bar: Bar | None = None
    note: str = ""

    @property
    def figures(self) -> list[float]:
        """What the bar is for, in each round."""
        if self.ratio is None:
            return list(next(iter(self.values.values())))
        above, below = (self.values[name] for name in self.ratio)
        return [a / b for a, b in zip(above, below, strict=True)]

    @property
    def figure(self) -> float:
        return statistics.median(self.figures)

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.bar.met(self.figure)

    def plain(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "what": self.what,
            "unit": self.unit,
            "values": {name: list(values) for name, values in self.values.items()},
            "medians": {name: statistics.median(values) for name, values in self.values.items()},
            "ratio": None if self.ratio is None else " / ".join(self.ratio),
            "figure": self.figure,
            "smallest": min(self.figures),
            "largest": max(self.figures),
            "bar": None if self.bar is None else str(self.bar),
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True)
class Skipped:
    """What was not measured, and why."""

    what: str
    why: str


@dataclass
class Told:
    """What the contestants told of themselves, a list a name."""

    of: dict[str, list[Any]] = field(default_factory=dict)

    def numbers(self, number: Callable[[Any], float]) -> dict[str, list[float]]:
        return {name: [number(each) for each in told] for name, told in self.of.items()}


def in_turn(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> Told:
    """A, B, C, A, B, C and so on: what slows the machine down for a while slows all."""
    told = Told({name: [] for name in contestants})
    for _ in range(rounds):
        for name, contestant in contestants.items():
            told.of[name].append(contestant())
    return told


def check_same(what: str, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise OtherWorkError unless all made as many steps and their validations came out the same.

    Args:
        what: names the work.
        told: by contestant ``steps`` and ``history``, the latter with a ``val/loss`` an epoch.

    """
    (first, known), *others = told.items()
    for name, other in others:
        if other["steps"] != known["steps"]:
            raise OtherWorkError(f"{what}: {name} made {other['steps']} steps, {first} {known['steps']}")
        check_losses(what, first, _losses(known), name, _losses(other))


def check_losses(what: str, first: str, known: Sequence[float], name: str, other: Sequence[float]) -> None:
    """Raise OtherWorkError unless the losses are as many and close to each other."""
    if len(known) != len(other):
        raise OtherWorkError(f"{what}: {name} has {len(other)} losses, {first} {len(known)}")
    for place, (a, b) in enumerate(zip(known, other, strict=True), start=1):
        if not abs(a - b) <= LEAST + TOLERANCE * abs(a):
            raise OtherWorkError(f"{what}: loss {place} of {name} is {b:.5f}, that of {first} {a:.5f}")


def _losses(told: Mapping[str, Any]) -> list[float]:
    return [epoch["val/loss"] for epoch in told["history"]]
