"""One run's folder, drained into its Run."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.tracking import records
from seqsweep.tracking.base import Dataset
from seqsweep.tracking.draining import Place, SpoolReader
from seqsweep.tracking.mlflow_store import MlflowStore, clean_params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

UID_TAG = "seqsweep.uid"
"""Tells a run that belongs to no study from all others."""

_REOPENED = {"pruned", "failed", "infeasible", "interrupted"}
"""After these ends more metrics mean another attempt; after a complete one, its test."""


@dataclass(frozen=True)
class Request:
    """A folder to drain: what its Run is called and given, and the tags by which it is found again.

    Without `identity` the folder's own id is one.
    """

    directory: Path
    name: str
    identity: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    def began(self) -> int:
        """When the run began, in ms: at its first record, else now."""
        try:
            with records.spool_file(self.directory).open("rb") as lines:
                record = records.decode(lines.readline())
        except FileNotFoundError:
            record = None
        return int(record[1]) if record else time.time_ns() // 1_000_000


@dataclass
class KnownRun:
    """A Run in the store: its id and the parameters it has, which cannot be changed."""

    run_id: str
    params: dict[str, str] = field(default_factory=dict)
    running: bool = False
    """Whether it has not ended, so far as the store knows."""
    made: bool = False
    """Whether it was made just now, with all its tags, and nothing else was sent to it."""


class Drain:
    """Hands one folder's records to its Run. It can be cut anywhere and done again."""

    def __init__(self, request: Request, run: KnownRun) -> None:
        self.request = request
        self.run = run
        place = Place.load(request.directory)
        # Another store, one put back from a copy, or the Run was deleted: tell it everything.
        if place.run_id != run.run_id or (run.running and place.state is not None):
            place = Place(run_id=run.run_id)
        self._place = place
        self._reader = SpoolReader(request.directory, place)
        self._pending: list[records.Record] = []
        self._described = False

    @property
    def whole(self) -> bool:
        """Of a study's own: whether its trials' Runs are in that store, so far as they were handed on."""
        return self._place.whole

    @whole.setter
    def whole(self, yes: bool) -> None:
        if self._place.whole != yes:
            self._place.whole = yes
            self._place.save(self.request.directory)

    @property
    def finished(self) -> bool:
        """Whether the run's end is drained and nothing came after it."""
        return self._place.passed(self.request.directory)

    def drain(self, store: MlflowStore) -> None:
        """Hand on all whole records that are there, with what the Run is followed with before the first."""
        while True:
            self._pending = self._pending or self._reader.read()
            if self._pending:
                self._apply(store, self._pending)
                self._reader.commit()
                self._pending = []
            elif self._described:
                return
            else:
                self._send(store, self._batch())

    def _apply(self, store: MlflowStore, found: list[records.Record]) -> None:
        batch = self._batch()
        for record in found:
            if self._turns(record):
                self._send(store, batch, {"seqsweep.state": record[2]} if record[0] == records.END else {})
                batch = _Batch()
                self._turn(store, record)
            batch.add(record)
        self._send(store, batch)

    def _batch(self) -> _Batch:
        """An empty one; the first holds the tags and parameters that the Run is followed with."""
        batch = _Batch()
        if not self._described:
            batch.params.update(self.request.params)
            batch.tags.update({} if self.run.made else self.request.tags)
        return batch

    def _turns(self, record: records.Record) -> bool:
        """Whether the record ends the run, or begins it again."""
        again = record[0] == records.METRICS and self._place.state in _REOPENED
        begins = record[0] == records.BEGIN and self._place.state is not None
        return record[0] == records.END or again or begins

    def _turn(self, store: MlflowStore, record: records.Record) -> None:
        if record[0] == records.END:
            store.end(self.run.run_id, record[2], record[1])
            self._place.state = record[2]
            self.run.running = False
        else:
            store.reopen(self.run.run_id)
            self._place.state = None
            self.run.running = True

    def _send(self, store: MlflowStore, batch: _Batch, end: Mapping[str, str] | None = None) -> None:
        """Hand on a batch; the tags `end` once all else is there."""
        late = bool(batch.data or batch.artifacts)
        self._log(store, batch.metrics, batch.params, batch.tags | ({} if late else dict(end or {})))
        if batch.data:
            store.log_data(self.run.run_id, batch.data)
        for name, folder in batch.artifacts:
            path = self.request.directory / name
            if path.is_file():
                store.upload(self.run.run_id, path, folder)
            else:
                _log.warning("%s is gone before it could be kept with its run", path)
        if late:
            self._log(store, tags=end)
        self._described, self.run.made = True, False

    def _log(
        self,
        store: MlflowStore,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """All at once; of the parameters those that are new, since a Run's cannot be changed."""
        given = clean_params(params or {}).items()
        new = {key: value for key, value in given if key not in self.run.params}
        if metrics or new or tags:
            store.log(self.run.run_id, metrics, new, tags)
            self.run.params.update(new)


class _Batch:
    """Records put together until they are sent."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, float, int, int]] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: dict[tuple[str, str], None] = {}
        self.data: list[Dataset] = []

    def add(self, record: records.Record) -> None:
        kind, time_ms = record[:2]
        if kind == records.METRICS:
            _, _, step, values = record
            self.metrics += [(key, float(value), time_ms, step) for key, value in values.items()]
        elif kind == records.PARAMS:
            self.params = {**record[2], **self.params}
        elif kind == records.TAGS:
            self.tags.update(record[2])
        elif kind == records.ARTIFACT:
            self.artifacts[record[2], record[3]] = None
        elif kind == records.DATA:
            self.data += [Dataset(**dataset) for dataset in record[2]]


def own_uid(directory: Path) -> tuple[str, bool]:
    """The unique id of the run in `directory`, and whether it was there already.

    Written before the Run is made, so that a driver killed in between finds the Run again.
    """
    file = directory / paths.STATE / "run.uid"
    if file.exists() and (text := file.read_text().strip()):
        return text, True
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.write_text(uuid.uuid4().hex)
    draft.replace(file)
    return file.read_text(), False


def last_end(directory: Path) -> str | None:
    """The state in which the spool says that the run ended; None while it goes on."""
    place = Place.load(directory)
    if place.passed(directory):
        return place.state
    file, state = records.spool_file(directory), None
    for record in map(records.decode, file.read_bytes().split(b"\n") if file.is_file() else ()):
        if record and record[0] in (records.BEGIN, records.END):
            state = record[2] if record[0] == records.END else None
    return state


def last_words(directory: Path) -> dict[str, str]:
    """The last value of each metric (as ``repr`` of a float) and tag in the spool."""
    said: dict[str, str] = {}
    for record in map(records.decode, records.spool_file(directory).read_bytes().split(b"\n")):
        if record and record[0] == records.METRICS:
            said |= {key: repr(float(value)) for key, value in record[3].items()}
        elif record and record[0] == records.TAGS:
            said |= record[2]
    return said
