"""One driver a study: a lock that the system frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from seqsweep.errors import StoreError, StudyError
from seqsweep.paths import STATE


class DriverLock:
    """Held while a driver runs the study in `folder`; entering raises StudyError if another holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def __enter__(self) -> DriverLock:
        path = self._folder / STATE / "driver.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}): give a writable SEQSWEEP_HOME"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode().strip()
            os.close(self._file)
            raise StudyError(
                f"study '{self._folder.name}' is being run by process {holder}: "
                f"wait for it, stop it (kill -INT {holder}), or give another hydra.sweeper.study_name"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
