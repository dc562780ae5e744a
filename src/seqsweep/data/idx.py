"""The IDX format of MNIST's files: a magic number, the sizes, then unsigned bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from seqsweep.data.files import read_bytes
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

UNSIGNED_BYTES = 0x08


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, plain or gzipped, that has so many `dimensions`.

    The magic number is 0x0000TTDD: type TT (8 for unsigned bytes) and number of
    dimensions DD; then a big-endian 32-bit size a dimension; then the values.
    Raises DataError, naming the file and what is wrong with it.
    """
    raw = read_bytes(path)
    header = 4 * (1 + dimensions)
    if len(raw) < header:
        raise DataError(f"{path}: {len(raw)} bytes are too few for an IDX file; download it again")
    magic, *sizes = struct.unpack(f">{1 + dimensions}I", raw[:header])
    expected = UNSIGNED_BYTES << 8 | dimensions
    if magic != expected:
        raise DataError(f"{path}: magic number {magic}, expected {expected} ({dimensions}-dimensional bytes)")
    # Python's own integers: sizes from a damaged header must not overflow.
    count = 1
    for size in sizes:
        count *= size
    if len(raw) - header != count:
        promised = " x ".join(map(str, sizes))
        raise DataError(
            f"{path}: the header promises {promised} = {count} values, the file holds {len(raw) - header}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(sizes)
