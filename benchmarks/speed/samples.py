"""Real data, as much of it as a few seconds of training take, in a folder of its own."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

IMAGES = {"train": 7_400, "t10k": 100}
CHARACTERS = {"train": 32_001, "val": 3_201, "test": 321}
"""A multiple, and the one that is told after the last."""


def make(source: Path, target: Path) -> set[str]:
    """Put what there is in `source` into `target`; the names of the data sets that are missing."""
    target.mkdir()
    missing = set()
    for name, some in {
        "mnist": _mnist,
        "tinyshakespeare": _text,
        "scan": _all,
        "etth1": _all,
        "jsb_chorales": _all,
    }.items():
        try:
            some(source / name, target / name)
        except FileNotFoundError:
            missing.add(name)
    return missing


def _mnist(source: Path, target: Path) -> None:
    """The first images of each part."""
    parts = {}
    for part, count in IMAGES.items():
        images = _read(source / f"{part}-images-idx3-ubyte")
        labels = _read(source / f"{part}-labels-idx1-ubyte")
        magic, _, rows, columns = struct.unpack(">4i", images[:16])
        head = struct.pack(">4i", magic, count, rows, columns)
        parts[f"{part}-images-idx3-ubyte"] = head + images[16 : 16 + count * rows * columns]
        parts[f"{part}-labels-idx1-ubyte"] = labels[:4] + struct.pack(">i", count) + labels[8 : 8 + count]
    _write(target, parts)


def _text(source: Path, target: Path) -> None:
    """The first characters, one part after the other."""
    text, start, parts = _read(source / "input.txt"), 0, {}
    for part, count in CHARACTERS.items():
        parts[f"{part}.txt"] = text[start : start + count]
        start += count
    _write(target, parts)


def _all(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise FileNotFoundError(source)
    target.symlink_to(source.absolute())


def _read(path: Path) -> bytes:
    """The file's bytes, packed or not."""
    if path.exists():
        return path.read_bytes()
    return gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


def _write(folder: Path, parts: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in parts.items():
        (folder / name).write_bytes(content)
