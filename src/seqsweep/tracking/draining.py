"""Reading a spool from where the last reader stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from seqsweep.tracking import records

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1 << 18
"""Bytes read at a time: some 4,000 records."""


@dataclass
class Place:
    """How far a run's spool has been handed on: to which Run, which byte, in which state."""

    run_id: str | None = None
    offset: int = 0
    state: str | None = None
    """Of the last end drained; None while the run goes on."""
    whole: bool = False
    """Of a study's own spool: whether all its trials have been handed on to that Run's store."""

    @classmethod
    def load(cls, directory: Path) -> Place:
        """The stored place; the beginning where none is stored or it is damaged."""
        try:
            return cls(**json.loads(_offset_file(directory).read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, directory: Path) -> None:
        """Store it, replacing the old one at once."""
        file = _offset_file(directory)
        draft = file.with_name(file.name + ".new")
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(file)

    def passed(self, directory: Path) -> bool:
        """Whether the run has ended and all of its spool is handed on."""
        return self.state is not None and not self.waiting(directory)

    def waiting(self, directory: Path) -> int:
        """How many records of the spool are not handed on."""
        if _size(directory) <= self.offset:
            return 0
        with records.spool_file(directory).open("rb") as lines:
            lines.seek(self.offset)
            return sum(line.endswith(b"\n") for line in lines)


class SpoolReader:
    """Reads the records of one run that `place` has not passed yet.

    A metric whose (key, step) came before is dropped here too: an orphan of a killed
    driver may still write beside the new attempt. Only whole lines are read; a
    damaged one is passed over.
    """

    def __init__(self, directory: Path, place: Place) -> None:
        self._directory = directory
        self._place = place
        self._next = 0
        self._seen = records.Seen()
        if _size(directory) < place.offset:  # the folder was cleared and is used again
            place.offset = 0
        self._remember_drained()

    def read(self) -> list[records.Record]:
        """The next records; an empty list at the end of the file. They count once `commit` is called."""
        found: list[records.Record] = []
        while not found and (text := self._text()):
            self._next += len(text)
            decoded = (records.decode(line) for line in text.split(b"\n"))
            found = [new for record in decoded if record and (new := self._new(record))]
        return found

    def commit(self) -> None:
        """What was read is stored elsewhere: go on from here next time, in another process too."""
        self._place.offset = self._next
        self._place.save(self._directory)

    def _text(self) -> bytes:
        """Whole lines from the read position on."""
        if _size(self._directory) <= self._next:
            return b""
        with records.spool_file(self._directory).open("rb") as content:
            content.seek(self._next)
            text = content.read(_CHUNK)
            if b"\n" not in text:
                text += content.readline()
        return text[: text.rfind(b"\n") + 1]

    def _new(self, record: records.Record) -> records.Record | None:
        if record[0] != records.METRICS:
            return record
        kind, time_ms, step, values = record
        new = self._seen.new(values, step)
        return [kind, time_ms, step, new] if new else None

    def _remember_drained(self) -> None:
        if self._place.offset == 0:
            return
        with records.spool_file(self._directory).open("rb") as lines:
            while self._next < self._place.offset:
                line = lines.readline()
                self._next += len(line)
                if record := records.decode(line):
                    self._seen.add_record(record)


def _size(directory: Path) -> int:
    try:
        return records.spool_file(directory).stat().st_size
    except FileNotFoundError:
        return 0


def _offset_file(directory: Path) -> Path:
    return records.spool_file(directory).with_suffix(".offset")
