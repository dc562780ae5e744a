"""``seqsweep rm``: removes a study from all stores, after asking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.errors import UsageError, without_password

if TYPE_CHECKING:
    import argparse

    from seqsweep.cli.removing import Remains

EPILOG = (
    "Removed are its trials in the Optuna store, its Runs in MLflow, and its folder in multirun/. MLflow "
    "only marks Runs as deleted; `mlflow gc` frees what they take."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = EPILOG
    parser.add_argument("study", metavar="STUDY", help="the study's name; `seqsweep list` shows them")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--storage", metavar="URL", help="the Optuna store; optuna.db here without it")


def run(args: argparse.Namespace) -> int:
    """Show what there is, ask, remove.

    Raises UsageError where there is no such study, a driver runs it, or nobody can be asked.
    """
    from seqsweep.cli import removing
    from seqsweep.reporting import finding
    from seqsweep.reporting.links import recorded_at

    storage = args.storage or finding.noted(args.study) or paths.study_storage()
    tracking = args.tracking_uri or recorded_at(args.study) or paths.tracking_uri()
    found = removing.find(args.study, storage, tracking)
    with removing.alone(found):
        print(f"study {found.name}:")
        for line in found.lines():
            print(without_password(line))
        if not (args.yes or _agreed()):
            print("nothing was removed")
            return 1
        removing.remove(found)
    print(f"removed: study {found.name}")
    if found.runs:
        print(_bin(found))
    return 0


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: there is no terminal to ask at; --yes answers beforehand")
    try:
        answer = input("remove all of this? [y/N] ")
    except EOFError:
        print()
        return False
    return answer.strip().lower() in ("y", "yes")


def _bin(found: Remains) -> str:
    from seqsweep.tracking.stores import is_server

    uri = found.tracking
    how = "on the server" if is_server(uri) else f"--backend-store-uri {uri} --tracking-uri {uri}"
    return f"MLflow keeps {len(found.runs)} deleted Runs with their files until this is run: mlflow gc {how}"
