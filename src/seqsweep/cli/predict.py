"""``seqsweep predict``: what a stored run says of a file of the user's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep.cli import stored_run
from seqsweep.errors import DataError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="the run to ask")
    parser.add_argument("file", metavar="FILE", help="in the format that the run was trained on")
    stored_run.add_arguments(parser)
    parser.add_argument("-o", "--output", metavar="OUT", help="where to write; standard output without it")


def run(args: argparse.Namespace) -> int:
    """Write one prediction an example.

    Raises UsageError for what cannot be read, predicted or written.
    """
    source = Path(args.file).expanduser()
    if not source.exists():
        raise DataError(f"{args.file}: there is no such file")
    out = None if args.output is None else _writable(Path(args.output).expanduser(), source)
    with stored_run.stored_run(args) as (_, stored):
        data, records, predictions = stored.predict(source.absolute())
    if out is None:
        data.write(records, predictions, sys.stdout)
        return 0
    from seqsweep.training.folder import replacing

    with replacing(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        data.write(records, predictions, file)
    print(f"{len(predictions):,} predictions: {args.output}", file=sys.stderr)
    return 0


def _writable(out: Path, source: Path) -> Path:
    """`out`, found fit to be written to before anything is computed."""
    out = out.resolve()  # of a link, what it leads to is written
    if not out.parent.is_dir() or (out.exists() and not out.is_file()):
        raise DataError(f"-o {out}: expected a file in a folder that is there")
    if not os.access(out.parent, os.W_OK):
        raise DataError(f"-o {out}: nothing may be written in {out.parent}")
    if out.exists() and out.samefile(source):
        raise DataError(f"-o {out}: that is the file to predict for; choose another")
    return out
