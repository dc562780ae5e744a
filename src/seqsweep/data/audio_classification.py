"""AudioClassification: labelled recordings, as frames of mel bands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import classes
from seqsweep.data.answers import write_classes
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import Rows
from seqsweep.data.scaling import SCALES, learn_scale, standardised
from seqsweep.data.waves import log_mel, read_wave, recordings, resampled
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SMALLEST_DEVIATION = 1e-3


@dataclass(eq=False, repr=False)
class AudioClassification(Corpus[Rows]):
    """A class for each WAV file of a folder or a zip, read as log-mel frames (`seqsweep.data.waves.log_mel`).

    The class is the name of the folder that holds the file, or what `label_pattern` finds in
    its path. Samples may be of 8, 16, 24 or 32 bits; several channels are averaged. Each mel
    band is standardised by the training part.
    """

    _: KW_ONLY
    label_pattern: str | None = None
    """A regular expression, sought in a file's path within the folder or zip. Its group ``label`` is the
    class; its group ``group``, if it has one, what ``split_by=group`` keeps together, such as a speaker."""
    test_pattern: str | None = None
    """A regular expression; the files in whose paths it is found are the test part."""
    sample_rate: int | None = None
    """What every recording is resampled to; None asks that they all have the same."""
    frame_ms: float = 25.0
    hop_ms: float = 10.0
    """From one frame's beginning to the next one's."""
    mels: int = 40
    """Numbers a frame."""
    scale: str = "standard"
    """Of each mel band: ``standard``, mean 0 and standard deviation 1 over the training part's frames;
    ``minmax``; ``none``; or ``recording``, each recording by its own, which takes out much of who speaks
    into what (cepstral mean and variance normalisation, Viikki & Laurila 1998)."""

    splits_by = ("row", "group")

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        for name in ("frame_ms", "hop_ms"):
            setattr(self, name, checks.positive_float(name, getattr(self, name)))
        checks.positive_int("mels", self.mels)
        checks.one_of("scale", self.scale, (*SCALES, "recording"))
        if self.sample_rate is not None:
            checks.positive_int("sample_rate", self.sample_rate)
        self._labels = _compiled("label_pattern", self.label_pattern)
        self._tests = _compiled("test_pattern", self.test_pattern)
        self._check_suit()

    def read(self, path: Path, labelled: bool = True) -> Rows:
        """The recordings; an item is an array of frames x mels."""
        names: list[str] = []
        items: list[np.ndarray] = []
        rate = self.sample_rate
        for name, raw in recordings(path):
            place = f"{path}, {name}"
            own, wave = read_wave(place, raw)
            if rate is not None and own != rate and self.sample_rate is None:
                raise DataError(
                    f"{place}: {own} samples a second, where {names[0]} has {rate}; "
                    f"data.sample_rate={rate} resamples"
                )
            rate = rate or own
            frames = log_mel(resampled(wave, own, rate), rate, self.frame_ms, self.hop_ms, self.mels)
            names.append(name)
            items.append(self.limited(frames, place))
        if not names:
            raise DataError(f"{path}: holds no WAV files")
        labels, groups = self._labelled(path, names) if labelled else (None, None)
        return Rows(path, items, names, labels, groups, extra={"sample_rate": rate})

    def fit(self, train: Rows) -> Fitted:
        """Sample rate, classes, and each mel band's mean and scale."""
        return {
            "sample_rate": train.extra["sample_rate"],
            "longest": max(len(frames) for frames in train.items),
            **classes.learnt(train.labels or (), train.path),
            **learn_scale(np.concatenate(train.items), "none" if self.scale == "recording" else self.scale),
        }

    def encode(self, records: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
        """Scaled frames one recording after the other, how many each has, and classes."""
        rate, known = records.extra["sample_rate"], fitted["sample_rate"]
        if rate != known:
            raise DataError(
                f"{records.path}: {rate} samples a second, where training has {known}; "
                f"data.sample_rate={known} resamples"
            )
        labels = records.labels
        none = np.zeros(len(records), np.int16)
        return {
            "frames": standardised(
                np.concatenate([self._scaled(frames) for frames in records.items]), fitted
            ),
            "lengths": np.array([len(frames) for frames in records.items]),
            "targets": none if labels is None else classes.numbered(labels, fitted, records.place),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """A recording's frames and its class."""
        return Examples(Jagged.of(arrays["frames"], arrays["lengths"]), arrays["targets"])

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps, one class a sequence."""
        return DataSpec(
            name=self.label,
            kind="classification",
            input_size=self.mels,
            output_size=len(fitted["classes"]),
            max_length=fitted["longest"],
            class_names=tuple(fitted["classes"]),
            class_counts=tuple(fitted["class_counts"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Sample rate, frames and classes."""
        return (
            f"{fitted['sample_rate']} samples a second, {self.mels} mel bands, "
            f"up to {fitted['longest']:,} frames, "
            f"{len(fitted['classes'])} classes ({classes.listed(fitted['classes'])})"
        )

    def write(self, records: Rows, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: the file's name, its class, the probability of each."""
        write_classes("file", records.where, predictions, self.fitted["classes"], file)

    def _scaled(self, frames: np.ndarray) -> np.ndarray:
        """Frames x mels by their own means and deviations, if each recording is scaled by itself."""
        if self.scale != "recording":
            return frames
        # a band that does not move has no deviation to divide by
        deviations = np.maximum(frames.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)
        scaled: np.ndarray = (frames - frames.mean(axis=0, dtype=np.float64)) / deviations
        return scaled

    def _check_suit(self) -> None:
        """Refuse patterns that do not do what is asked of them."""
        found = {} if self._labels is None else self._labels.groupindex
        if self._labels is not None and "label" not in found:
            raise ConfigError(f"label_pattern={self.label_pattern}: expected a group (?P<label>...)")
        if self.split_by == "group" and "group" not in found:
            raise ConfigError(
                "split_by=group: expected a data.label_pattern with a group (?P<group>...), kept together"
            )
        if self.test_pattern is not None and self.test is not None:
            raise ConfigError(
                f"test_pattern={self.test_pattern}: expected null, since data.test names the test part"
            )

    def _labelled(self, path: Path, names: Sequence[str]) -> tuple[list[str], list[str] | None]:
        """The classes, and the groups if there are some."""
        if self._labels is None:
            return [_folder(path, name) for name in names], None
        found = [self._labels.search(name) for name in names]
        for name, match in zip(names, found, strict=True):
            if match is None or match["label"] is None:
                raise DataError(
                    f"{path}, {name}: data.label_pattern={self.label_pattern} finds no label in it"
                )
        matches = [match for match in found if match is not None]
        labels = [match["label"] for match in matches]
        return labels, [match["group"] for match in matches] if "group" in self._labels.groupindex else None

    def divided(self, read: Mapping[str, Rows]) -> dict[str, Rows]:
        """The parts; those of the test first, if a pattern says which they are."""
        if self._tests is None or "train" not in read:
            return super().divided(read)
        known = read["train"]
        testing = np.array([self._tests.search(name) is not None for name in known.where])
        if testing.all() or not testing.any():
            which = "every recording" if testing.all() else "no recording"
            raise DataError(f"{known.path}: data.test_pattern={self.test_pattern} is found in {which}")
        parts = {"train": known.take(np.flatnonzero(~testing)), "test": known.take(np.flatnonzero(testing))}
        return super().divided({**read, **parts})


def _folder(path: Path, name: str) -> str:
    folder = PurePosixPath(name).parent.name
    if not folder:
        raise DataError(
            f"{path}, {name}: is in no folder whose name could be its class; "
            "put the recordings of a class into a folder, or set data.label_pattern"
        )
    return folder


def _compiled(name: str, pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{name}={pattern}: not a regular expression ({error})") from error
