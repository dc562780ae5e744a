"""``seqsweep list``: the studies here, with their progress and best value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from seqsweep import paths

if TYPE_CHECKING:
    import argparse

    from seqsweep.reporting.studies import StudySummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print the studies. Raises StoreError if the store cannot be read."""
    from seqsweep.reporting.studies import studies

    found = studies(paths.study_storage())
    if args.json:
        print(
            json.dumps(
                {"storage": paths.study_storage(), "studies": [_document(one) for one in found]}, indent=2
            )
        )
    elif found:
        _print_table(found)
    else:
        print(f"no studies in {paths.home()} yet; `seqsweep sweep digits` runs one")
    return 0


def _document(study: StudySummary) -> dict[str, Any]:
    return {
        "name": study.name,
        "status": study.status,
        "driver": study.driver,
        "done": study.done,
        "n_trials": study.n_trials,
        "counts": dict(study.counts),
        "metrics": list(study.metrics),
        "directions": list(study.directions),
        "best": study.best,
        "best_trial": study.best_trial,
        "last_activity": study.last_activity.isoformat() if study.last_activity else None,
        "folder": str(study.folder) if study.folder else None,
    }


def _print_table(found: list[StudySummary]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from seqsweep.reporting import wording

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("study", "status", "trials", "best", "metric", "last activity"):
        table.add_column(name, justify="right" if name in {"trials", "best"} else "left", overflow="fold")
    for study in found:
        trials = str(study.done) if study.n_trials is None else f"{study.done}/{study.n_trials}"
        status = study.status if study.driver is None else f"running ({study.driver})"
        latest = f"{study.last_activity:%Y-%m-%d %H:%M}" if study.last_activity else "-"
        best = "-" if study.best is None else wording.number(study.best)
        table.add_row(study.name, status, trials, best, ", ".join(study.metrics) or "-", latest)
    Console().print(table, markup=False, highlight=False)
