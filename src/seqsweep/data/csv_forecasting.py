"""CsvForecasting: what a series of numbers will be, from a table with dates."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data.batch import Examples
from seqsweep.data.classes import listed
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.scaling import SCALES, learn_scale, standardised
from seqsweep.data.series import Series, no_column, read_series
from seqsweep.data.table import TableFile
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

METHODS = ("direct", "autoregressive")
STEPS = ("train_steps", "val_steps", "test_steps")


@dataclass(eq=False, repr=False)
class CsvForecasting(Corpus[Series]):
    """Windows over a table in time, CSV or Parquet: `context` steps, and the `horizon` after them.

    The series is cut in time into training, validation and test part, by `val_share` and
    `test_share` or into exactly `train_steps`, `val_steps` and `test_steps` rows, what is
    left over being unused. A window belongs to the part that its whole horizon lies in;
    its context may reach back into the part before, as is usual (Zhou et al. 2021), so that
    each part's steps are forecast from its first on. Parts with files of their own reach
    back into nothing.

    With ``method=direct`` one output holds the whole horizon; with ``autoregressive`` a
    model tells the next step from each, and forecasts by reading its own.
    """

    _: KW_ONLY
    split_by: str = "time"
    date: str | None = None
    """The dates' column; None for the only one that holds dates."""
    date_format: str | None = None
    """How dates are written, for ``strptime``; None for a guess from the first one."""
    features: list[str] | None = None
    """The columns that are read; None for all that hold numbers."""
    targets: list[str] | None = None
    """The columns that are forecast, some of the features; None for all of them."""
    context: int = 96
    """Steps that a forecast is made from."""
    horizon: int = 24
    """Steps that are forecast."""
    method: str = "direct"
    """``direct`` or ``autoregressive``."""
    stride: int = 1
    """From one window's beginning to the next one's, in every part."""
    scale: str = "standard"
    """``standard``: mean 0 and standard deviation 1 over the training part, column by column; or ``none``."""
    season: int = 1
    """The forecast that errors are compared with in MASE takes the value of so many steps before."""
    train_steps: int | None = None
    val_steps: int | None = None
    test_steps: int | None = None
    separator: str = ","
    """Between the columns of CSV."""
    encoding: str = "utf-8"

    splits_by = ("time",)
    loading = frozenset({"stride"})
    kept = ("train", "test")  # a test compares with a linear map that is fitted to the training part

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        for name in ("context", "horizon", "stride", "season"):
            checks.positive_int(name, getattr(self, name))
        checks.one_of("method", self.method, METHODS)
        checks.one_of("scale", self.scale, SCALES)
        if not isinstance(self.separator, str) or len(self.separator) != 1:
            raise ConfigError(f"separator={self.separator}: expected one character, such as ';' or a tab")
        if self.context > self.max_length:
            raise ConfigError(f"context={self.context}: expected at most max_length={self.max_length}")
        self._check_columns()
        self._check_steps()

    def read(self, path: Path, labelled: bool = True) -> Series:
        """The file's table, with the columns that are needed."""
        wanted: Mapping[str, Any] = {"date": self.date, "features": self.features}
        if self._given is not None:
            wanted = self._given
        file = TableFile(
            path, self.separator, self.encoding, "mend the row, or leave the column out (data.features)"
        )
        return read_series(file, wanted["date"], wanted["features"], self.date_format)

    def fit(self, train: Series) -> Fitted:
        """The columns, their means and scales, and the naive forecast's errors."""
        features = list(train.columns)
        targets = list(features if self.targets is None else self.targets)
        for name in targets:
            if name not in features:
                raise DataError(no_column(train, name))
        if self.method == "autoregressive":
            if set(targets) != set(features):
                raise ConfigError(
                    f"data.targets={targets}: expected null with data.method=autoregressive, since a model "
                    "that reads its own forecast needs all of the features from it"
                )
            targets = features
        rows = train.rows(features)
        learnt = learn_scale(rows, self.scale)
        index = [features.index(name) for name in targets]
        errors = self._naive_errors(train, standardised(rows, learnt)[:, index], targets)
        return {
            "date": train.date,
            "features": features,
            "targets": targets,
            **learnt,
            "naive_errors": errors,
        }

    def encode(self, records: Series, fitted: Fitted) -> dict[str, np.ndarray]:
        """The part's steps and the context before them; the targets apart, if not all are."""
        rows = records.rows(fitted["features"], before=self.context)
        if len(rows) < self.context + self.horizon:
            before = len(rows) - len(records)
            raise DataError(
                f"{records.place(0)}: the part from here on has {len(records):,} steps, {before:,} before, "
                f"but a window takes data.context={self.context} and then data.horizon={self.horizon}"
            )
        values = standardised(rows, fitted)
        if fitted["targets"] == fitted["features"]:
            return {"values": values}
        return {"values": values, "targets": values[:, self._index(fitted)]}

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """Windows over the one table."""
        import torch

        values = arrays["values"]
        starts = torch.arange(0, len(values) - self.context - self.horizon + 1, self.stride)
        targets = Jagged.windows(arrays.get("targets", values), starts + self.context, self.horizon)
        return Examples(Jagged.windows(values, starts, self.context), targets)

    def unknown(self, records: Series) -> Examples:
        """One example of a whole series: its last `context` steps, whose horizon is to come."""
        import torch

        fitted = self.fitted
        if len(records) < self.context:
            raise DataError(
                f"{records.path}: {len(records):,} rows, but a forecast takes the last {self.context} "
                "(data.context)"
            )
        values = torch.from_numpy(standardised(records.rows(fitted["features"])[-self.context :], fitted))
        unknown = values.new_zeros(1, self.horizon, len(fitted["targets"]))
        return Examples(values.unsqueeze(0), unknown)

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps; one output for the whole horizon, or one a step."""
        index, direct = self._index(fitted), self.method == "direct"
        return DataSpec(
            name=self.label,
            kind="forecasting",
            input_size=len(fitted["features"]),
            output_size=len(index) * (self.horizon if direct else 1),
            max_length=self.context,
            target_max_length=self.horizon,
            per_step=not direct,
            horizon=self.horizon,
            target_columns=tuple(index),
            target_names=tuple(fitted["targets"]),
            target_means=tuple(fitted["means"][column] for column in index),
            target_scales=tuple(fitted["scales"][column] for column in index),
            naive_errors=tuple(fitted["naive_errors"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """The columns and the windows."""
        features, targets = fitted["features"], fitted["targets"]
        forecast = "all of them" if targets == features else listed(targets)
        return (
            f"dates in '{fitted['date']}', features {listed(features)}, forecast {forecast}: "
            f"{self.horizon} steps from {self.context}"
        )

    def write(self, records: Series, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: the dates go on after the series' last, each with its targets."""
        table = csv.writer(file, lineterminator="\n")
        table.writerow([records.date, *self.fitted["targets"]])
        for when, values in zip(following(records, self.horizon), predictions[0], strict=True):
            table.writerow([when, *[f"{value:.7g}" for value in values]])

    def _index(self, fitted: Fitted) -> list[int]:
        """Where the targets stand among the features."""
        return [fitted["features"].index(name) for name in fitted["targets"]]

    def _naive_errors(self, train: Series, rows: np.ndarray, targets: Sequence[str]) -> list[float]:
        """The mean absolute difference over a season of each of the scaled targets (rows x targets)."""
        if len(rows) <= self.season:
            raise DataError(
                f"{train.path}: {len(rows):,} steps to train on, not above data.season={self.season}"
            )
        errors = np.abs(rows[self.season :] - rows[: -self.season]).mean(axis=0, dtype=np.float64)
        for name, error in zip(targets, errors, strict=True):
            if error == 0:
                raise DataError(
                    f"{train.path}: '{name}' repeats itself exactly after data.season={self.season} in the "
                    "training part, so that no error can be compared with that; leave it out of data.targets"
                )
        return [float(error) for error in errors]

    def _check_columns(self) -> None:
        for name in ("features", "targets"):
            columns = getattr(self, name)
            if columns is not None and (
                isinstance(columns, str) or not columns or len(set(columns)) != len(columns)
            ):
                raise ConfigError(f"{name}={columns}: expected a list of different columns, or null")
        if self.targets is None or self.features is None:
            return
        for name in self.targets:
            if name not in self.features:
                raise ConfigError(f"targets={self.targets}: expected some of the features, '{name}' is not")

    def _check_steps(self) -> None:
        counts = {name: getattr(self, name) for name in STEPS}
        given = [name for name, count in counts.items() if count is not None]
        for name in given:
            checks.positive_int(name, counts[name])
        if given and (len(given) < len(STEPS) or self.val is not None or self.test is not None):
            raise ConfigError(
                f"{given[0]}={counts[given[0]]}: expected {', '.join(STEPS)} together, and no val or test"
            )

    def divided(self, read: Mapping[str, Series]) -> dict[str, Series]:
        """The parts, one after the other in time."""
        if self.train_steps is None or "train" not in read:
            return super().divided(read)
        series, start, parts = read["train"], 0, {}
        for name in STEPS:
            count = getattr(self, name)
            if start + count > len(series):
                raise DataError(
                    f"{series.path}: {len(series):,} rows are fewer than {' + '.join(STEPS)} = "
                    f"{sum(getattr(self, name) for name in STEPS):,}"
                )
            parts[name.removesuffix("_steps")] = series.take(np.arange(start, start + count))
            start += count
        return parts


def following(series: Series, count: int) -> list[str]:
    """The next `count` dates, written as the file does: at its usual distance, or else at its last one."""
    import pandas as pd

    times = pd.DatetimeIndex(series.times[max(0, series.end - 100) : series.end])
    with warnings.catch_warnings():  # pandas 3 tells of its plans for what this returns; any of them will do
        warnings.simplefilter("ignore")
        usual = pd.infer_freq(times) if len(times) > 2 else None
    step = usual or (times[-1] - times[-2] if len(times) > 1 else pd.Timedelta(days=1))
    ahead = pd.date_range(times[-1], periods=count + 1, freq=step)[1:]
    if series.date_format is None:
        return [str(when) for when in ahead]
    form = series.date_format.replace("%z", "Z")  # times with a zone were read as UTC
    return [when.strftime(form) for when in ahead]
