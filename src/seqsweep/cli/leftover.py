"""What an earlier study of the same name has left in the folder of one that begins."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.tracking.records import spool_file

if TYPE_CHECKING:
    from seqsweep.cli.plan import Plan


def set_aside(plan: Plan) -> None:
    """Move its trials and its record out of the way, and say so; those of the very same study stay.

    Where only the store of studies was deleted, the trials' ends are found in their folders again.
    What another study's trials have left would be taken for the new ones' own.
    """
    trials = [each for each in plan.folder.glob("*") if each.name.isdigit()]
    if not trials or plan.conf.identity == plan.identity:
        return
    state = plan.folder / paths.STATE
    place = next(each for n in itertools.count(1) if not (each := state / f"earlier-{n}").exists())
    place.mkdir()
    record = spool_file(plan.folder)
    for each in (*trials, record, record.with_suffix(".offset")):
        if each.exists():
            each.rename(place / each.name)
    print(f"{plan.folder} has trials of an earlier study of that name: they are kept in {place}")
