"""Preparation once: arrays are built once a machine and mapped into every process that needs them.

A prepared set is a folder ``<cache>/prepared/<name>-<digest>`` of ``.npy`` files
and an ``index.json`` that says which files belong to it and how large they are.
The digest is over the name, the options, the source files' identity and the
format's version, so that whatever changes the arrays changes the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqsweep import paths
from seqsweep.errors import DataError

VERSION = 1
"""Raised when what is stored, or how, changes."""

INDEX = "index.json"
CONTENT = "content"
"""Holds the digest of the arrays themselves: the same on every machine."""

_HEXADECIMALS = 64

DAMAGE = (ValueError, EOFError, AttributeError, TypeError, OverflowError, SyntaxError)
"""What the readers of JSON and of .npy files make of bytes that are not theirs."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Origin:
    """What a prepared set was made from."""

    content: str
    """Hexadecimal digits that stand for all its arrays."""
    sources: tuple[Path, ...]
    """Files; none where a program made it."""


_origins: ContextVar[list[Origin] | None] = ContextVar("origins", default=None)


@contextlib.contextmanager
def noting_origins() -> Iterator[list[Origin]]:
    """Within the body every prepared set that is asked for is noted in the list."""
    noted: list[Origin] = []
    token = _origins.set(noted)
    try:
        yield noted
    finally:
        _origins.reset(token)


def prepared(
    name: str,
    build: Callable[[], Arrays],
    *,
    options: Mapping[str, object] | None = None,
    sources: Sequence[Path] = (),
) -> dict[str, Tensor]:
    """The arrays that `build` makes, built once and memory-mapped from the cache.

    `options` (plain values) and `sources` (files) are what the arrays follow
    from. Many processes may ask at once: one builds, the others wait for it. An
    entry that is damaged (a file missing, cut short or unreadable) is built anew.

    The tensors share the file's pages with every other process. Writing to one is
    safe, and private to the writer. Raises DataError where the cache cannot be
    written, and whatever `build` raises.
    """
    entry = paths.cache() / "prepared" / f"{name}-{digest(name, options or {}, sources)}"
    found = _load(entry) or _prepare(entry, build)
    if (noted := _origins.get()) is not None:
        noted.append(Origin(_content(entry, found), tuple(sources)))
    return found


def _prepare(entry: Path, build: Callable[[], Arrays]) -> dict[str, Tensor]:
    with _writing(entry):
        found = _load(entry)  # another process may have built it while this one waited
        if found is None:
            arrays = build()
            try:
                _replace(entry, arrays)
            except OSError as error:
                raise DataError(
                    f"{entry.parent}: prepared data cannot be written there ({error.strerror or error}); "
                    "make room, or point XDG_CACHE_HOME to another folder"
                ) from error
            found = _load(entry)
    if found is None:
        raise DataError(f"{entry}: what was just prepared cannot be read back; is the disk full or failing?")
    return found


def digest(name: str, options: Mapping[str, object], sources: Sequence[Path]) -> str:
    """16 hexadecimal digits that stand for all that a prepared set follows from.

    A source counts by its path, size and time of change: reading all bytes of a
    large corpus at the start of every trial would cost more than it protects from.
    """
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    identity = json.dumps([VERSION, name, dict(sorted(options.items())), files])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _content(entry: Path, arrays: Mapping[str, Tensor]) -> str:
    """The digest of the arrays, which is stored with them; an older entry gets it now."""
    with contextlib.suppress(OSError, ValueError):
        stored = (entry / CONTENT).read_text("ascii")
        if len(stored) == _HEXADECIMALS:
            return stored
    content = _digest_of({name: array.numpy() for name, array in arrays.items()})
    with contextlib.suppress(OSError), _writing(entry):
        (entry / CONTENT).write_text(content, "ascii")
    return content


def _digest_of(arrays: Arrays) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _load(entry: Path) -> dict[str, Tensor] | None:
    """The tensors of `entry`, or None if it is not there or not whole."""
    try:
        sizes: dict[str, int] = json.loads((entry / INDEX).read_text("utf-8"))
        return {name: _mapped(entry / f"{name}.npy", size) for name, size in sizes.items()} or None
    except (OSError, *DAMAGE):
        return None


def _mapped(path: Path, size: int) -> Tensor:
    if path.stat().st_size != size:
        raise ValueError(f"{path} is not {size} bytes long")
    # "c": copy on write. Pages are shared until someone writes, and torch, which has
    # no read-only tensors, is not handed memory that it must not touch.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _replace(entry: Path, arrays: Arrays) -> None:
    """Put a whole new entry in place of what is there; call it only inside `_writing`."""
    for leftover in entry.parent.glob(f"{entry.name}.new-*"):
        shutil.rmtree(leftover)  # of a process that was killed while it held the lock
    folder = Path(tempfile.mkdtemp(prefix=f"{entry.name}.new-", dir=entry.parent))
    try:
        _store(folder, arrays)
        if entry.exists():
            shutil.rmtree(entry)
        folder.rename(entry)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _store(folder: Path, arrays: Arrays) -> None:
    sizes = {}
    for name, array in arrays.items():
        if array.size == 0:
            raise ValueError(f"prepared array '{name}' is empty")  # it could not be mapped
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            _flushed(file.fileno(), file.flush)
        sizes[name] = path.stat().st_size
    (folder / CONTENT).write_text(_digest_of(arrays), "ascii")
    with (folder / INDEX).open("w", encoding="utf-8") as index:
        json.dump(sizes, index)
        _flushed(index.fileno(), index.flush)


def _flushed(descriptor: int, flush: Callable[[], None]) -> None:
    """Bytes on the disk before the rename: a machine that goes down leaves no hollow entry."""
    flush()
    os.fsync(descriptor)


@contextlib.contextmanager
def _writing(entry: Path) -> Iterator[None]:
    """Hold the entry's lock, which its holder's death releases."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = entry.with_name(f"{entry.name}.lock").open("w")
    except OSError as error:
        raise DataError(
            f"{entry.parent}: prepared data cannot be kept there ({error.strerror}); "
            "point XDG_CACHE_HOME to a folder that can be written"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
