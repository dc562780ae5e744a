"""``seqsweep data``: the named data sets, where each is, and how to get one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.catalogue import SETS, DataSet, find_set

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = (
        "Sets are kept in DIR/NAME/: DIR is --root, else SEQSWEEP_DATA, else data/ here, else the user's "
        "cache folder."
    )
    actions = parser.add_subparsers(dest="action", metavar="list|fetch", required=True)
    listing = actions.add_parser("list", help="the named data sets, where each is, how large, its licence")
    listing.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    fetching = actions.add_parser("fetch", help="download one, checked against its published content")
    fetching.add_argument("name", metavar="NAME", help="of the data set; `seqsweep data list` shows them")
    for each in (listing, fetching):
        each.add_argument("--root", metavar="DIR", help="the folder that holds the named sets")


def run(args: argparse.Namespace) -> int:
    """List, or fetch.

    Raises:
        DataError: there is no such set, it cannot be downloaded, or is not what was published.
        SeqsweepError: its server cannot be reached.
    """
    root = paths.data_root(args.root)
    return _fetch(args.name, root) if args.action == "fetch" else _list(root, args.json)


def _fetch(name: str, root: Path) -> int:
    from seqsweep.data.fetching import fetch

    wanted = find_set(name)
    for file, was_there in fetch(wanted, root):
        print(f"{file.name}  {size(file.size)}  {'already there' if was_there else 'downloaded'}", flush=True)
    print(f"folder:  {root / name}")
    print(f"licence: {wanted.licence} ({wanted.home})")
    for option in wanted.used_by:
        print(f"use:     seqsweep train data={option}")
    return 0


def _list(root: Path, as_json: bool) -> int:
    documents = [_document(known, root) for known in SETS.values()]
    if as_json:
        print(json.dumps({"root": str(root), "data_sets": documents}, indent=2))
    else:
        _print_table(documents)
        print(f"\nlooked for in {root}; `seqsweep data fetch NAME` downloads one")
    return 0


def _document(known: DataSet, root: Path) -> dict[str, Any]:
    folder = root / known.name
    missing = known.missing(root)
    return {
        "name": known.name,
        "title": known.title,
        "task": known.kind,
        "options": list(known.used_by),
        "licence": known.licence,
        "home": known.home,
        "bytes": known.size,
        "folder": str(folder) if len(missing) < len(known.files) else None,
        "missing": missing,
        "fetchable": known.fetchable,
    }


def _print_table(documents: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("data set", "data=", "where", "size", "licence"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold")
    for known in documents:
        options = ", ".join(known["options"])
        table.add_row(known["name"], options, _where(known), size(known["bytes"]), known["licence"])
    Console().print(table, markup=False, highlight=False)


def _where(known: dict[str, Any]) -> str:
    if known["folder"] is None:
        return "not here" if known["fetchable"] else "not here, by hand only"
    if known["missing"]:
        return f"{known['folder']}, lacks {', '.join(known['missing'])}"
    return str(known["folder"])


def size(count: int) -> str:
    """``2 kB`` or ``14.2 MB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{max(count / 1e3, 0.1):.0f} kB"
