"""Arrays in: images read by row, series of channels, pieces of music; and recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from seqsweep.data import AudioClassification, Digits, MnistRows, PianoRoll, TsClassification, digits, mnist
from seqsweep.data.batch import Examples
from seqsweep.data.records import Rows
from seqsweep.data.waves import recordings
from seqsweep.errors import DataError
from seqsweep.serving import form
from seqsweep.serving.description import Array, Columns
from seqsweep.serving.form import BINARY, REQUEST, STRING, Form

if TYPE_CHECKING:
    from pandas import DataFrame


class DigitForm(Form[Any]):
    """An image a row, pixels as the data set has them: its class and each class's probability."""

    side, brightest = digits.SIDE, digits.BRIGHTEST
    names = tuple("0123456789")

    @property
    def inputs(self) -> Array:
        """Images x rows x pixels."""
        return Array((-1, self.side, self.side))

    @property
    def outputs(self) -> Columns:
        """The class, and the probabilities."""
        return {"class": STRING, **form.class_columns(self.names)}

    def examples(self, given: np.ndarray) -> tuple[None, Examples]:
        """The images, from 0 to 1."""
        wrong = ~((given >= 0) & (given <= self.brightest))
        if wrong.any():
            value = given[wrong][0]
            raise DataError(f"{REQUEST}: a pixel is {value:g}, expected a number from 0 to {self.brightest}")
        targets = torch.zeros(len(given), dtype=torch.int64)
        return None, Examples(torch.from_numpy(given), targets, divisor=self.brightest)

    def answer(self, records: None, predictions: Sequence[Any]) -> DataFrame:
        """A row an image."""
        return form.classified({}, "class", self.names, predictions)

    def example(self, source: Digits | MnistRows) -> np.ndarray:
        """The first image."""
        images = source.splits.val.inputs
        assert isinstance(images, torch.Tensor)
        return np.asarray(images[:1].double().numpy())


class MnistForm(DigitForm):
    """The same, of other sizes."""

    side, brightest = mnist.SIDE, mnist.BRIGHTEST


class SeriesForm(Form[TsClassification]):
    """Series of one length a request, of all its channels: a class each, and each class's probability."""

    @property
    def inputs(self) -> Array:
        """Series x time x channels."""
        return Array((-1, -1, self.data.fitted["channels"]))

    @property
    def outputs(self) -> Columns:
        """The class, and the probabilities."""
        return {"class": STRING, **form.class_columns(self.data.fitted["classes"])}

    def examples(self, given: np.ndarray) -> tuple[Rows, Examples]:
        """The series, scaled."""
        _check_finite(given)
        where = form.rows(len(given))
        items = [
            self.data.limited(series, f"{REQUEST}, {row}") for series, row in zip(given, where, strict=True)
        ]
        records = Rows(REQUEST, items, where, extra={"channels": given.shape[2]})
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a series."""
        return form.classified({}, "class", self.data.fitted["classes"], predictions)

    def example(self, source: TsClassification) -> np.ndarray:
        """The first series."""
        return np.asarray(source.sample(1).items[0][None])


class PieceForm(Form[PianoRoll]):
    """Pieces of one length a request: of each frame but the first the keys' probabilities."""

    @property
    def inputs(self) -> Array:
        """Pieces x frames x keys, 0 or 1."""
        return Array((-1, -1, self.data.fitted["keys"]))

    @property
    def outputs(self) -> Array:
        """Pieces x frames from the second on x keys."""
        return Array((-1, -1, self.data.fitted["keys"]))

    def examples(self, given: np.ndarray) -> tuple[Rows, Examples]:
        """The frames."""
        if given.shape[1] < 2 or not np.isin(given, (0, 1)).all():
            raise DataError(f"{REQUEST}: expected at least 2 frames a piece, one to foretell, of 0 and 1")
        records = Rows(REQUEST, list(given.astype(np.uint8)), form.rows(len(given)))
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> np.ndarray:
        """One array."""
        return np.asarray(predictions, dtype=np.float64)

    def example(self, source: PianoRoll) -> np.ndarray:
        """The first frames of the first piece."""
        return np.asarray(source.sample(1).items[0][None, :20], dtype=np.float64)


class RecordingForm(Form[AudioClassification]):
    """The bytes of a WAV file a row: its class and each class's probability."""

    asked: ClassVar[Columns] = {"wav": BINARY}

    @property
    def outputs(self) -> Columns:
        """The class, and the probabilities."""
        return {"class": STRING, **form.class_columns(self.data.fitted["classes"])}

    def examples(self, given: DataFrame) -> tuple[Rows, Examples]:
        """The recordings' frames, as those of a folder of files."""
        with form.as_file("request") as folder:
            folder.mkdir()
            for number, raw in enumerate(given["wav"], start=1):
                if not isinstance(raw, bytes):
                    raise DataError(f"{folder}, row {number}: expected a WAV file's bytes")
                (folder / f"row {number:09d}.wav").write_bytes(raw)
            records = self.data.read(folder, labelled=False)
            return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a recording."""
        return form.classified({}, "class", self.data.fitted["classes"], predictions)

    def example(self, source: AudioClassification) -> DataFrame:
        """The first recording of the training file: to divide it all of them would be read again."""
        _, raw = next(recordings(source.find("train", str(source.train))))
        return form.frame({"wav": [raw]})


def _check_finite(given: np.ndarray) -> None:
    wrong = np.argwhere(~np.isfinite(given))
    if len(wrong):
        row, step, channel = wrong[0] + 1
        raise DataError(
            f"{REQUEST}, row {row}: step {step} of channel {channel} is no finite number; fill it in"
        )
