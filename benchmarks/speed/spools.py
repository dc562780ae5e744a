"""Times of our own runs, from what they record of themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Epoch:
    """One epoch's metrics, and when its validation was over."""

    step: int
    ended: float
    metrics: dict[str, float]


def records_of(folder: Path) -> list[list[object]]:
    """All records of the run in `folder`: kind, time in milliseconds, and what they say."""
    lines = (folder / ".seqsweep" / "spool.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def epochs_of(folder: Path) -> list[Epoch]:
    """The run's epochs in order."""
    return [
        Epoch(record[2], record[1] / 1000, {name: float(value) for name, value in record[3].items()})  # type: ignore[operator,arg-type,attr-defined]
        for record in records_of(folder)
        if record[0] == "m" and "val/loss" in record[3]  # type: ignore[operator]
    ]


def step_losses(folder: Path) -> list[float]:
    """The training loss of each of the run's steps, if all were recorded; of an epoch's last its mean."""
    return [
        float(record[3]["train/loss"])  # type: ignore[index,call-overload]
        for record in records_of(folder)
        if record[0] == "m" and "train/loss" in record[3]  # type: ignore[operator]
    ]


def described(folder: Path) -> tuple[float, dict[str, str]]:
    """When the run recorded its parameters, which is just before its first step, and which they are."""
    [(_, when, params), *_] = (record for record in records_of(folder) if record[0] == "p")
    return when / 1000, params  # type: ignore[operator,return-value]


def first_step(folder: Path) -> float:
    """When the loss of the run's first step was recorded, each step's being recorded."""
    return next(record[1] for record in records_of(folder) if record[0] == "m") / 1000  # type: ignore[operator]


def seconds_a_step(folders: list[Path]) -> float:
    """From the first recorded step of all the runs to the end of the last one's validation, a step.

    Each step's loss must be recorded. Where several steps are recorded at once, only those after them count.
    """
    metrics = [record for folder in folders for record in records_of(folder) if record[0] == "m"]
    began = min(record[1] for record in metrics)  # type: ignore[type-var]
    done = max(record[2] for record in metrics if record[1] == began)  # type: ignore[type-var]
    last = [epochs_of(folder)[-1] for folder in folders]
    return (max(epoch.ended for epoch in last) - began / 1000) / (last[0].step - done)  # type: ignore[operator]
