"""``seqsweep evaluate``: a stored run's best checkpoint on its own test data, or on other data."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from seqsweep.cli import stored_run
from seqsweep.reporting import wording

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="the run to test")
    stored_run.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Test and print; nothing is written into the run.

    Raises UsageError for what cannot be tested.
    """
    with stored_run.stored_run(args) as (found, stored):
        metrics = stored.test()
    recorded = {name: value for name, value in found.metrics.items() if name.startswith("test/")}
    changes = stored_run.changes(args.overrides)
    same = None if changes or not recorded else _same(metrics, recorded)
    if args.json:
        document = {
            "run": found.id,
            "name": found.name,
            "overrides": changes,
            "metrics": _finite(metrics),
            "recorded": _finite(recorded),
            "same": same,
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"run {found}")
    for name, value in metrics.items():
        print(f"{name:<24} {value:.6g}")
    if not changes:
        print(_comparison(metrics, recorded, same))
    return 0


def _same(metrics: Mapping[str, float], recorded: Mapping[str, float]) -> bool:
    """Whether what is measured now is what was recorded; baselines learnt in training are not made again."""
    return all(name in recorded and _equal(value, recorded[name]) for name, value in metrics.items())


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _comparison(metrics: Mapping[str, float], recorded: Mapping[str, float], same: bool | None) -> str:
    if same is None:
        return "recorded: nothing, the run was not tested before"
    if same:
        left = [name for name in recorded if name not in metrics]
        return "recorded: the same" + (f"; not measured again: {', '.join(left)}" if left else "")
    known = {name: recorded.get(name) for name in metrics}
    other = {
        name: value for name, value in known.items() if value is None or not _equal(metrics[name], value)
    }
    return "recorded: " + ", ".join(f"{name} {wording.number(value, 6)}" for name, value in other.items())


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """As JSON can hold them, which has no number for the others."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
