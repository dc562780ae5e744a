"""Upstream's files under the data root: found plain or gzipped, read whole, or refused in one clear line."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from seqsweep.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def find(folder: Path, name: str) -> Path | None:
    """`name` in `folder`, or its gzipped form; None where there is neither."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def require(folder: Path, name: str, origin: str) -> Path:
    """As `find`, but raises DataError, which says what is missing where, and to get it from `origin`."""
    path = find(folder, name)
    if path is None:
        raise DataError(missing(folder, name, origin))
    return path


def missing(folder: Path, name: str, origin: str) -> str:
    """What to tell who lacks the file `name`."""
    return (
        f"{name} (or {name}.gz) not found in {folder}; get it from {origin}, or name the folder that holds "
        f"'{folder.name}/' with data.root=... or SEQSWEEP_DATA"
    )


def read_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked if its name ends in .gz. Raises DataError where that fails."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_lines(path: Path) -> list[str]:
    """The file's lines, unpacked if need be, as UTF-8 text. Raises DataError where that fails."""
    try:
        return read_bytes(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
