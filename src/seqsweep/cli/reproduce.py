"""``seqsweep reproduce``: a stored run trained again, and whether its metrics are the same."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.cli import stored_run
from seqsweep.errors import SeqsweepError, StudyError
from seqsweep.protocol import Complete, Failed, Infeasible, Interrupted, LocalContext, Outcome, Slot
from seqsweep.tracking import MemoryTracker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from seqsweep.reporting.reproduction import Compared
    from seqsweep.reporting.runs import StoredRun
    from seqsweep.tracking import Dataset
    from seqsweep.training import Built, Goal

EPILOG = (
    f"{stored_run.RUN} Nothing is recorded. Exit status: 0 the same metrics, bit for bit, or but for "
    "rounding if it was trained in a stack; 1 others. "
    "Overrides say where the data is and what is trained on: data.root=DIR, trainer.accelerator=cpu. "
    f"{stored_run.ALLOW}"
)
CUT_OFF = ("pruned", "failed")
"""States of runs whose record ends before they would have."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="the run to train again")
    stored_run.add_arguments(parser, EPILOG)


def run(args: argparse.Namespace) -> int:
    """Train, compare and print; nothing is written into the stores.

    Raises UsageError for what cannot be trained again, SeqsweepError if training fails now.
    """
    from seqsweep import training
    from seqsweep.reporting.reproduction import compare, differences, print_comparison
    from seqsweep.reporting.runs import find_trained, store_of
    from seqsweep.tracking import provenance

    found = find_trained(store_of(args.run, args.tracking_uri), args.run, needs=["config.yaml"])
    record = found.histories()
    if not any(name.startswith("val/") for name in record):
        raise StudyError(f"run {found} has no metrics to compare with: it is {found.state}")
    with found.files("config.yaml") as directory:
        built = _built(found, directory, args.overrides)
    goal = _goal(found, built, record)
    until = _end(found, record, goal)
    witness = _Witness(found)
    _introduce(found, built, until)
    witness.see(differences(found.tags, provenance.common_tags()))
    if (size := found.tags.get("seqsweep.stack")) is not None:
        witness.see([f"stack: as one of {size} -> alone, which is the same but for rounding"])
    with tempfile.TemporaryDirectory(prefix="seqsweep-") as place:
        context = _Again(Path(place), _slot(found), goal.metric, record.get(goal.metric, {}), until)
        outcome = training.train(built, context=context, tracker=witness, goal=goal)
    _check_end(found, outcome)
    rows = compare(record, {name: dict(values) for name, values in witness.metrics.items()}, until=until)
    print_comparison(rows)
    return _conclude(rows, witness, rounded=size is not None)


def _built(found: StoredRun, directory: Path, overrides: list[str]) -> Built:
    """The run's parts."""
    from seqsweep import training
    from seqsweep.training.stored_config import read_config

    with stored_run.naming(found):
        config = read_config(directory, overrides, training=True)
        if config.get("threads") is None:
            config["threads"] = found.threads
        return training.build(config)


def _goal(found: StoredRun, built: Built, record: Mapping[str, Any]) -> Goal:
    """What decided which validation was the best: the study's metric, or the task's own."""
    from seqsweep import training

    tags = found.study_tags()
    metric, direction = tags.get("seqsweep.metric"), tags.get("seqsweep.direction", "minimize")
    test = any(name.startswith("test/") for name in record)
    if metric is None:
        return replace(training.Goal.of(built.task), test=test)
    return training.Goal(metric.removeprefix("best/"), direction, test=test)  # type: ignore[arg-type]  # checked there


def _end(found: StoredRun, record: Mapping[str, Mapping[int, float]], goal: Goal) -> int | None:
    """The step of the last validation of a run that was cut off there; None where it ended by itself."""
    if found.state not in CUT_OFF:
        return None
    return max(record.get(goal.metric, {}), default=None)


def _introduce(found: StoredRun, built: Built, until: int | None) -> None:
    """Say what is trained."""
    from seqsweep.data import SequenceData

    end = "" if until is None else f"; trained up to its last validation, at step {until}"
    print(f"run {found}: {found.state}{end}")
    if isinstance(built.data, SequenceData):
        print(f"data    {built.data.summary()}", flush=True)


def _slot(found: StoredRun) -> Slot:
    """As many threads as it had, and processes if they were the processor's."""
    processes = re.fullmatch(r"(\d+) x cpu", found.tags.get("seqsweep.device", ""))
    return Slot(id=0, threads=found.threads, processes=int(processes[1]) if processes else 1)


def _check_end(found: StoredRun, outcome: Outcome) -> None:
    """Raise SeqsweepError if it does not end as the first did, KeyboardInterrupt after Ctrl-C."""
    if isinstance(outcome, Interrupted):
        raise KeyboardInterrupt
    if isinstance(outcome, Failed) and found.state != "failed":
        raise SeqsweepError(f"run {found} was {found.state} and fails now: {outcome.text}")
    if isinstance(outcome, Infeasible) and found.state != "infeasible":
        raise SeqsweepError(f"run {found} was {found.state} and does not work here: {outcome.reason}")
    if isinstance(outcome, Complete) and found.state == "infeasible":
        raise SeqsweepError(f"run {found} was infeasible and completes now")


def _conclude(rows: list[Compared], witness: _Witness, rounded: bool) -> int:
    from seqsweep.reporting.reproduction import ROUNDING

    different = [row for row in rows if not row.same]
    furthest = max((row.furthest for row in different), default=0.0)
    if different and rounded and furthest <= ROUNDING:
        same = len(rows) - len(different)
        print(
            f"the same but for rounding: {same} of {len(rows)} metrics bit for bit, the others at most "
            f"{furthest:.1g} apart; nothing was recorded"
        )
        return 0
    if different:
        why = (
            "" if witness.differences else ", with the versions, threads, device and data that were recorded"
        )
        print(f"different: {len(different)} of {len(rows)} metrics{why}; nothing was recorded")
        return 1
    values = sum(row.steps for row in rows)
    print(f"the same: {values} values of {len(rows)} metrics, bit for bit; nothing was recorded")
    return 0


class _Again(LocalContext):
    """A run's context that shows each validation beside the recorded one, and stops where the record does."""

    def __init__(
        self, directory: Path, slot: Slot, metric: str, record: Mapping[int, float], until: int | None
    ) -> None:
        super().__init__(directory, slot=slot)
        self._metric, self._record, self._until = metric, record, until

    def report(self, value: float, step: int) -> bool:
        """Print the value; go on until the record ends."""
        from seqsweep.reporting.reproduction import beside

        print(
            f"step {step:>7}  {self._metric} {value:.6g}  {beside(self._record.get(step), value)}", flush=True
        )
        return self._until is None or step < self._until


class _Witness(MemoryTracker):
    """The record of the run trained anew.

    What it is trained with comes before the training: what of it is not as it was is said at once.
    """

    def __init__(self, found: StoredRun) -> None:
        super().__init__()
        self._found = found
        self.differences: list[str] = []

    def see(self, differences: Iterable[str]) -> None:
        """Say, and keep, what is not as it was recorded."""
        for line in differences:
            print(f"differs {line}", flush=True)
            self.differences.append(line)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep the tags; say which are not the recorded ones."""
        from seqsweep.reporting.reproduction import differences

        super().set_tags(tags)
        self.see(differences(self._found.tags, tags))

    def log_data(self, datasets: Iterable[Dataset]) -> None:
        """Keep what is known of the data; say what is not as it was recorded."""
        given = list(datasets)
        super().log_data(given)
        known = self._found.digests
        self.see(
            f"{data.context} data: digest {known[data.context]} -> {data.digest}"
            for data in given
            if known.get(data.context, data.digest) != data.digest
        )
