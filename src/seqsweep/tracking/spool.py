"""The tracker of a run that trains: records go to a file, off the training thread.

Whoever keeps the record (a `Recorder` in the driver) drains the file. Nothing
that was handed over more than a second before the process is killed is lost.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

from seqsweep.errors import StoreError
from seqsweep.tracking import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from seqsweep.tracking.base import Dataset, State


class Spool:
    """A `Tracker` that appends to ``<directory>/.seqsweep/spool.jsonl``.

    Opened on a file that an interrupted attempt left, it cuts a half-written last
    line and drops every metric whose (key, step) is already there.

    Raises:
        StoreError: the folder cannot be written to.
    """

    def __init__(self, directory: str | Path, *, interval: float = 1.0) -> None:
        self.directory = Path(directory)
        self._pending: deque[tuple[Any, ...]] = deque()
        self._unwritten = b""
        self._seen = records.Seen()
        self._error: Exception | None = None
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._descriptor: int | None = self._open()
        self._thread = threading.Thread(target=self._flush_often, args=(interval,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Spool:
        """The spool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # ------------------------------------------------------------ Tracker

    def log_params(self, params: Mapping[str, object]) -> None:
        """What the run was given; values are kept as text."""
        self._pending.append((records.PARAMS, _now(), {key: str(value) for key, value in params.items()}))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Labels of the run."""
        self._pending.append((records.TAGS, _now(), {key: str(value) for key, value in tags.items()}))

    def log_metrics(self, metrics: Mapping[str, SupportsFloat], step: int) -> None:
        """Values at optimiser step `step`; tensors are read when they are flushed."""
        values = {key: getattr(value, "detach", value.__float__)() for key, value in metrics.items()}
        self._pending.append((records.METRICS, _now(), step, values))

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """A file to keep; it must stay until it is drained. A path in the run's folder is kept relative."""
        place = Path(path).absolute()
        home = self.directory.absolute()
        name = place.relative_to(home) if place.is_relative_to(home) else place
        self._pending.append((records.ARTIFACT, _now(), str(name), folder))

    def log_data(self, datasets: Iterable[Dataset]) -> None:
        """What the run learns from and is judged by."""
        self._pending.append((records.DATA, _now(), [asdict(dataset) for dataset in datasets]))

    def begin(self) -> None:
        """The run goes on after an end: it counts as running again."""
        self._pending.append((records.BEGIN, _now()))

    def end(self, state: State | Literal["interrupted"]) -> None:
        """The run is over; a study's is ``interrupted`` where it is to go on later."""
        self._pending.append((records.END, _now(), state))

    def flush(self) -> None:
        """Write what waits.

        Raises:
            StoreError: the file cannot be written; the records are kept for the next try.
            TypeError: a metric was not a number.
        """
        self._write()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Flush, and end the thread. Raises what `flush` raises."""
        if self._descriptor is None:
            return
        self._closing.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            os.close(self._descriptor)
            self._descriptor = None

    # ------------------------------------------------------------ inside

    @property
    def last_step(self) -> int:
        """The largest step flushed so far; -1 if there is none."""
        return self._seen.last_step

    def _open(self) -> int:
        file = records.spool_file(self.directory)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _unwritable(file, error) from error
        self._take_over(file, descriptor)
        return descriptor

    def _take_over(self, file: Path, descriptor: int) -> None:
        """Learn what an earlier attempt wrote, and cut its torn last line."""
        whole = 0
        with file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    os.ftruncate(descriptor, whole)
                    break
                whole += len(line)
                if record := records.decode(line):
                    self._seen.add_record(record)

    def _flush_often(self, interval: float) -> None:
        while not self._closing.wait(interval):
            try:
                self._write()
            except StoreError as error:  # a full disk may have room again later: keep the records, try again
                self._error = error

    def _write(self) -> None:
        with self._writing:
            lines = [self._unwritten]
            while self._pending:
                lines.append(self._encode(self._pending.popleft()))
            self._unwritten = b"".join(lines)
            self._append()

    def _append(self) -> None:
        if not self._unwritten:
            return
        if self._descriptor is None:
            raise ValueError("the spool is closed")
        try:
            while self._unwritten:
                self._unwritten = self._unwritten[os.write(self._descriptor, self._unwritten) :]
        except OSError as error:
            raise _unwritable(records.spool_file(self.directory), error) from error
        self._error = None if isinstance(self._error, StoreError) else self._error

    def _encode(self, entry: tuple[Any, ...]) -> bytes:
        if entry[0] != records.METRICS:
            return records.encode(list(entry))
        kind, time_ms, step, metrics = entry
        try:
            values = {key: records.number(value) for key, value in metrics.items()}
        except (TypeError, ValueError, RuntimeError) as error:
            self._error = TypeError(f"metrics at step {step} are not single numbers: {metrics!r} ({error})")
            return b""
        new = self._seen.new(values, int(step))
        return records.encode([kind, time_ms, int(step), new]) if new else b""


def _now() -> int:
    return time.time_ns() // 1_000_000


def _unwritable(file: Path, error: OSError) -> StoreError:
    reason = error.strerror or error
    return StoreError(f"{file}: cannot be written ({reason}); choose another folder or make room")
