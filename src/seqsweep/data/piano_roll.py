"""PianoRoll: pieces of music, of which each frame is to be foretold from those before it."""

from __future__ import annotations

import csv
import io
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep.data import files
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.errors import DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

CELLS = {"train": "traindata", "val": "validdata", "test": "testdata"}
"""What the parts are called within a file."""


@dataclass(eq=False, repr=False)
class PianoRoll(Corpus[Rows]):
    """Which keys sound in each frame of a piece: 0 or 1 for each of (commonly 88) keys.

    A MATLAB file (to version 7, plain or gzipped) holds cell arrays of pieces, each a
    matrix of frames x keys: ``traindata``, and ``validdata`` and ``testdata`` where
    `val` and `test` name no other file; a part that is nowhere is a share of the
    training pieces. A file with one cell array may call it as it likes.

    Inputs are frames 1 to T - 1, (batch, time, keys); targets are frames 2 to T.
    """

    _: KW_ONLY
    batch_size: int = 8
    split_by: str = "row"

    splits_by = ("row",)

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """All pieces of the file; a record's group is the cell array that it is from."""
        pieces, where, groups = [], [], []
        for name, cell in _cells(path).items():
            for number, piece in enumerate(cell.ravel(), start=1):
                where.append(f"{name}, piece {number}")
                groups.append(name)
                pieces.append(_checked(piece, f"{path}, {where[-1]}"))
        records = Rows(path, pieces, where, groups=groups)
        for row, piece in enumerate(pieces):
            if piece.shape[1] != pieces[0].shape[1]:
                raise DataError(
                    f"{records.place(row)}: {piece.shape[1]} keys, "
                    f"expected {pieces[0].shape[1]} as in the first piece"
                )
        return records

    def divided(self, read: Mapping[str, Rows]) -> dict[str, Rows]:
        """The parts of the files' own division, and shares for what they lack."""
        parts = {part: _part(records, part) for part, records in read.items()}
        if CELLS["train"] in (read["train"].groups or () if "train" in read else ()):
            for part in ("val", "test"):
                if part not in parts and CELLS[part] in (read["train"].groups or ()):
                    parts[part] = _part(read["train"], part)
        return super().divided(parts)

    def fit(self, train: Rows) -> Fitted:
        """How many keys there are, and how many of them sound at a time."""
        frames = sum(len(piece) for piece in train.items)
        return {
            "keys": train.items[0].shape[1],
            "longest": max(len(piece) for piece in train.items) - 1,
            "sounding": float(sum(int(piece.sum()) for piece in train.items) / frames),
        }

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Frames one piece after the other, and the pieces' lengths."""
        pieces = []
        for row, piece in enumerate(records.items):
            if piece.shape[1] != fitted["keys"]:
                raise DataError(
                    f"{records.place(row)}: {piece.shape[1]} keys, where training has {fitted['keys']}"
                )
            # the last frame is only foretold
            steps = self.limited(piece[:-1], records.place(row))
            pieces.append(piece[: len(steps) + 1])
        return {"frames": np.concatenate(pieces), "lengths": np.array([len(piece) for piece in pieces])}

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """All frames but the last, and all but the first, of the same table."""
        frames, lengths = arrays["frames"], arrays["lengths"]
        starts = lengths.cumsum(0) - lengths
        inputs = Jagged(frames, starts, lengths - 1)
        return Examples(inputs, Jagged(frames, starts + 1, lengths - 1), divisor=1.0)

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """As many numbers in as out, at each step."""
        return DataSpec(
            name=self.label,
            kind="music",
            per_step=True,
            input_size=fitted["keys"],
            output_size=fitted["keys"],
            max_length=fitted["longest"],
            target_max_length=fitted["longest"],
        )

    def facts(self, fitted: Fitted) -> str:
        """Keys and frames."""
        frames = fitted["longest"] + 1
        return f"{fitted['keys']} keys, {fitted['sounding']:.1f} at a time, up to {frames:,} frames"

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: a row a frame from the second on, with its piece, its number, and the keys' probabilities."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["piece", "frame", *(f"key {key}" for key in range(1, self.fitted["keys"] + 1))])
        for where, frames in zip(records.where, predictions, strict=True):
            piece = where.replace(", piece", "")
            for number, frame in enumerate(frames, start=2):
                writer.writerow([piece, number, *(f"{share:.6f}" for share in frame)])


def _cells(path: Path) -> dict[str, np.ndarray]:
    """The file's cell arrays by name, in the file's order. Raises DataError where there are none."""
    from scipy.io import loadmat

    raw = files.read_bytes(path)
    try:
        content = loadmat(io.BytesIO(raw))
    except NotImplementedError as error:
        raise DataError(
            f"{path}: a MATLAB file of version 7.3; expected one saved with -v7 or -v6"
        ) from error
    except Exception as error:  # scipy raises whatever the bytes lead it to
        reason = "it is empty" if not raw else (str(error).splitlines() or ["damaged"])[0]
        raise DataError(f"{path}: not a whole MATLAB file ({reason}); write or download it again") from error
    cells = {
        name: value
        for name, value in content.items()
        if isinstance(value, np.ndarray) and value.dtype == object and value.size
    }
    if not cells:
        found = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise DataError(
            f"{path}: no cell array of pieces; expected traindata, each cell a matrix of frames x keys; "
            f"it has {found}"
        )
    return cells


def _checked(piece: Any, place: str) -> np.ndarray:
    """The piece as (frames, keys) uint8. Raises DataError unless it is a matrix of zeros and ones."""
    if not isinstance(piece, np.ndarray) or piece.ndim != 2 or piece.dtype.kind not in "buif":
        kind = "text" if isinstance(piece, np.ndarray) and piece.dtype.kind in "US" else "something else"
        raise DataError(f"{place}: {kind}, expected a matrix of frames x keys")
    if piece.shape[0] < 2 or piece.shape[1] == 0:
        frames, keys = piece.shape
        raise DataError(
            f"{place}: {frames} frames of {keys} keys, expected at least 2 frames, one to foretell"
        )
    wrong = np.argwhere((piece != 0) & (piece != 1))
    if len(wrong):
        frame, key = wrong[0]
        raise DataError(
            f"{place}: key {key + 1} of frame {frame + 1} is {piece[frame, key]:g}, expected 0 or 1"
        )
    return piece.astype(np.uint8)


def _part(records: Rows, part: str) -> Rows:
    """Of a file's pieces those that are meant for `part`."""
    names = list(dict.fromkeys(records.groups or ()))
    meant = next((name for name in (CELLS[part], CELLS["train"]) if name in names), names[0])
    if len(names) > 1 and meant not in CELLS.values():
        raise DataError(
            f"{records.path}: cell arrays {', '.join(names)}; expected traindata, or only one of them"
        )
    return records.take(np.array([row for row, name in enumerate(records.groups or ()) if name == meant]))
