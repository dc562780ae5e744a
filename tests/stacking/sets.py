"""Small data sets, one for each kind of task that a stack takes, and members on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seqsweep.data import Examples, SequenceData, Splits
from seqsweep.protocol import JobContext, LocalContext
from seqsweep.spec import DataSpec
from seqsweep.stacking.member import Member
from seqsweep.tracking import Spool
from seqsweep.training import build
from seqsweep.training.goal import Goal
from training.tiny import config

COUNT, TRAIN, VAL = 50, 30, 10


class Small(SequenceData):
    """Padded sequences, in batches of 8 of which the last has 6."""

    def __init__(self, kind: str, batch_size: int = 8, seed: int = 0) -> None:
        super().__init__(batch_size, None, seed)
        self.kind = kind

    def load(self) -> Splits:
        random = torch.Generator().manual_seed(1)
        lengths = torch.randint(1, 8, (COUNT,), generator=random)
        true = torch.arange(7) < lengths.unsqueeze(1)
        numbers = torch.randn(COUNT, 7, 3, generator=random) * true.unsqueeze(-1)
        tokens = torch.randint(1, 6, (COUNT, 7), generator=random) * true
        target_lengths = None
        if self.kind == "numbers":
            inputs, targets = numbers, (numbers[..., 0].sum(1) > 0).long()
            spec = DataSpec(name="numbers", input_size=3, output_size=2)
        elif self.kind == "tokens":
            inputs, targets = tokens, tokens[:, 0] % 3
            spec = DataSpec(name="tokens", vocabulary_size=6, output_size=3)
        elif self.kind == "regression":
            inputs, targets = numbers, torch.stack([numbers[..., 0].sum(1), numbers[..., 1].amax(1)], dim=1)
            spec = DataSpec(name="regression", input_size=3, output_size=2, kind="regression")
        else:
            inputs = (numbers > 0.3).to(torch.uint8)
            targets, target_lengths = inputs.roll(-1, dims=1), lengths
            spec = DataSpec(name="music", input_size=3, output_size=3, per_step=True, kind="music")
        parts = {
            "train": slice(0, TRAIN),
            "val": slice(TRAIN, TRAIN + VAL),
            "test": slice(TRAIN + VAL, COUNT),
        }
        given = {
            name: Examples(
                inputs[rows],
                targets[rows],
                lengths[rows],
                None if target_lengths is None else target_lengths[rows],
                1.0 if self.kind == "music" else None,
            )
            for name, rows in parts.items()
        }
        return Splits(spec, **given)


TASKS = {
    "numbers": "Classification",
    "tokens": "Classification",
    "regression": "Regression",
    "music": "Music",
    "story": "LanguageModelling",
}


def small(
    kind: str, folder: Path | None = None, *, seed: int = 0, model: str = "GRU", **changes: Any
) -> dict[str, Any]:
    """A trial's configuration on the set named `kind`; keys of `changes` as in `training.tiny.config`."""
    data: dict[str, Any] = {"_target_": "stacking.sets.Small", "kind": kind, "seed": seed}
    if kind == "story":
        data = {"_target_": "training.texts.Story", "folder": str(folder)}
    given: dict[str, Any] = {
        "seed": seed,
        "data": data,
        "model": {"_target_": f"seqsweep.models.{model}", "_partial_": True, "hidden_size": 5},
        "task": {"_target_": f"seqsweep.tasks.{TASKS[kind]}", "_partial_": True},
    }
    return config(**given | changes)


def member(configuration: dict[str, Any], context: JobContext) -> Member:
    """A member that records into its folder."""
    built = build(configuration)
    goal = Goal.of(built.task)
    return Member(built, context, Spool(context.directory), goal, torch.device("cpu"))


def payload(configuration: dict[str, Any], **goal: Any) -> dict[str, Any]:
    """What the executor hands to a job."""
    return {"config": configuration} | ({"goal": goal} if goal else {})


def contexts(folder: Path, count: int) -> list[JobContext]:
    """A context and a folder for each of so many trials."""
    places = [folder / str(number) for number in range(count)]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    return [LocalContext(place, trial=number) for number, place in enumerate(places)]
