r"""The lines of a spool file: one JSON array a record, its kind first.

    ["m", 1700000000000, 12, {"train/loss": 0.5, "val/loss": "nan"}]    metrics: time (ms), step, values
    ["p", 1700000000000, {"model.hidden_size": "64"}]                   params
    ["t", 1700000000000, {"seqsweep.device": "cpu"}]                    tags
    ["a", 1700000000000, "best.ckpt", "checkpoints"]                    artifact: path, folder
    ["d", 1700000000000, [{"name": "digits", "context": "train", ...}]] data: `Dataset`s
    ["b", 1700000000000]                                                the run begins (again)
    ["e", 1700000000000, "complete"]                                    the run ended

Values that JSON has no number for are strings (``nan``, ``inf``, ``-inf``). A line
counts from the moment its newline is written.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, SupportsFloat

from seqsweep import paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METRICS, PARAMS, TAGS, ARTIFACT, DATA, BEGIN, END = "m", "p", "t", "a", "d", "b", "e"

Record = list[Any]
"""One decoded line."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def spool_file(directory: Path) -> Path:
    """Where the records of the run in `directory` are."""
    return directory / paths.STATE / "spool.jsonl"


def encode(record: Record) -> bytes:
    """`record` as one line, newline included."""
    return _encode(record).encode() + b"\n"


def decode(line: bytes) -> Record | None:
    """The record in `line`, or None if the line is damaged."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, list) and len(record) > 1 else None


def curves(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Each metric's (step, value) pairs in what the run in `directory` has flushed so far."""
    found: dict[str, list[tuple[int, float]]] = {}
    try:
        lines = spool_file(directory).read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for record in map(decode, lines):
        if record is not None and record[0] == METRICS:
            _, _, step, values = record
            for name, value in values.items():
                found.setdefault(name, []).append((step, float(value)))
    return found


def number(value: SupportsFloat) -> float | str:
    """A metric's value as JSON can hold it. Raises TypeError or ValueError if it is no number."""
    real = float(value)
    return real if math.isfinite(real) else repr(real)


class Seen:
    """Which (key, step) pairs have been, at 8 bytes or so each while steps grow."""

    def __init__(self) -> None:
        self._steps: dict[str, list[int]] = {}

    def add(self, key: str, step: int) -> bool:
        """Remember the pair; whether it is new."""
        steps = self._steps.setdefault(key, [])
        if not steps or step > steps[-1]:
            steps.append(step)
            return True
        place = bisect_left(steps, step)
        if steps[place] == step:
            return False
        steps.insert(place, step)
        return True

    def add_record(self, record: Record) -> None:
        """Remember the pairs of a metrics record; others have none."""
        if record[0] == METRICS:
            for key in record[3]:
                self.add(key, record[2])

    def new(self, metrics: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Those of `metrics` that are new at `step`; they are remembered."""
        return {key: value for key, value in metrics.items() if self.add(key, step)}

    @property
    def last_step(self) -> int:
        """The largest step of any key; -1 if there is none."""
        return max((steps[-1] for steps in self._steps.values()), default=-1)
