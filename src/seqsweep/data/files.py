"""Upstream's files under the data root: found plain or gzipped, read whole, or refused in one clear line."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from seqsweep.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def find(folder: Path, name: str) -> Path | None:
    """The file or folder `name` in `folder`, or its gzipped form; None where there is neither."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    return None


def under(path: Path) -> list[Path]:
    """The file, or all files in the folder, in the order of their names."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


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


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The file's text, unpacked if need be, without a byte-order mark. Raises DataError where that fails."""
    raw = read_bytes(path)
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise DataError(
            f"data.encoding={encoding}: expected the name of an encoding, such as utf-8 or latin-1"
        ) from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        other = ("UTF-16", "utf-16") if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("Latin-1", "latin-1")
        raise DataError(
            f"{path}, line {line}: not {encoding} text (byte 0x{raw[error.start]:02x}); if it is {other[0]}, "
            f"data.encoding={other[1]} reads it"
        ) from error


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The file's lines, as `read_text` has them."""
    lines = read_text(path, encoding).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
