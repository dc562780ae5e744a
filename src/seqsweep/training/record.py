"""What a run's record holds beside its metrics: how it began and how it ended, whoever trained it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from seqsweep.data import SequenceData
from seqsweep.errors import without_password
from seqsweep.protocol import Complete, Failed, Infeasible, Interrupted, Outcome, Pruned
from seqsweep.training import folder
from seqsweep.training.datasets import datasets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from seqsweep.tracking import Tracker
    from seqsweep.training.building import Built
    from seqsweep.training.progress import Progress

STATES: dict[type[Any], Any] = {
    Complete: "complete",
    Pruned: "pruned",
    Failed: "failed",
    Infeasible: "infeasible",
}


def describe(built: Built, directory: Path, tracker: Tracker) -> None:
    """Record what the run is: its configuration, its data, the threads it has."""
    config = public(built.config)
    tracker.log_params(dict(_flat(config)))
    tracker.set_tags({"seqsweep.threads": str(torch.get_num_threads())})
    tracker.log_artifact(folder.write_config(directory, config))
    tracker.log_artifact(folder.write_data(directory, learnt(built)))
    tracker.log_data(datasets(built))


def carried(built: Built) -> dict[str, Any]:
    """Plain data that the run's checkpoints carry under ``seqsweep``: the configuration and the DataSpec."""
    spec = asdict(built.spec) | {"class_names": list(built.spec.class_names)}
    return {"config": public(built.config), "spec": spec}


def speed(steps: int, seconds: float, before: float = 0.0) -> dict[str, float]:
    """What `finish` records of an attempt's steps and seconds, after `before` seconds of earlier ones."""
    return {"system/seconds": before + seconds, "system/steps_per_second": steps / seconds}


def finish(
    built: Built,
    directory: Path,
    tracker: Tracker,
    outcome: Outcome,
    *,
    progress: Progress,
    system: Mapping[str, float],
    steps: int,
) -> None:
    """Record how the run ended, and only then put down its outcome: who finds that finds the whole record.

    An interrupted run has not ended; what is known of it is flushed.

    Args:
        built: the run.
        directory: its folder.
        tracker: where it is recorded.
        outcome: how it ended.
        progress: where it stood then.
        system: from `speed`.
        steps: the optimiser steps that the run had.

    """
    if isinstance(outcome, Interrupted):
        tracker.flush()
        return
    # A study may let it go on with nothing beside it: then these are not its last words.
    again = isinstance(outcome, Infeasible) and outcome.memory
    if not again:
        tracker.log_metrics(system, steps)
        best = {f"best/{name}": value for name, value in progress.best_metrics.items()}
        tracker.log_metrics(best, progress.best_step)
    best_file = directory / folder.BEST
    if progress.best is not None and best_file.is_file():  # it may have failed before it was written
        with suppress(OSError, RuntimeError):  # a full disk: the whole of it serves as well
            folder.keep_weights(best_file)
        tracker.log_artifact(best_file)
    tracker.end(STATES[type(outcome)])
    tracker.flush()
    folder.write_outcome(directory, outcome, built.config)
    if built.keep_checkpoints == "best" and not again:
        (directory / folder.LAST).unlink(missing_ok=True)


def learnt(built: Built) -> dict[str, Any]:
    """What the data taught, for whoever uses the run on other data."""
    data = built.data
    known = {"fitted": dict(data.fitted), "data": data.describe()} if isinstance(data, SequenceData) else {}
    return {**known, "spec": asdict(built.spec)}


def public(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration, without the tracking store's password if that is in its address."""
    tracking = dict(config.get("tracking") or {})
    if tracking.get("uri"):
        tracking["uri"] = without_password(str(tracking["uri"]))
    return {**config, "tracking": tracking} if tracking else config


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Leaves by dotted key; what only tells Hydra how to build is left out."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif key not in ("_partial_", "_convert_", "_recursive_"):
            yield f"{prefix}{key}", value
