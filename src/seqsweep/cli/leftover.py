"""What an earlier study of the same name has left in the folder of one that begins."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.tracking.records import spool_file

if TYPE_CHECKING:
    from pathlib import Path

    from seqsweep.sweeping import Study

_NOTE = "study.uid"


def set_aside(folder: Path, study: Study) -> None:
    """Move another study's record and trials out of the way of `study`, and say so.

    They would be taken for its own: a step that is recorded is not recorded again. Done
    again it goes on, wherever it was cut off.
    """
    state = folder / paths.STATE
    note = state / _NOTE
    if note.is_file() and note.read_text(encoding="utf-8") == study.uid:
        return
    if not study.begun:  # one that has begun is the folder's, noted or not
        _move(folder, state)
    note.write_text(study.uid, encoding="utf-8")


def _move(folder: Path, state: Path) -> None:
    record = spool_file(folder)
    trials = [each for each in folder.iterdir() if each.name.isdigit()]
    left = [each for each in (record.with_suffix(".offset"), record, *trials) if each.exists()]
    if not left:
        return
    place = next(each for n in itertools.count(1) if not (each := state / f"earlier-{n}").exists())
    place.mkdir()
    for each in left:
        each.rename(place / each.name)
    print(f"what an earlier study of that name has left in {folder} is kept in {place}")
