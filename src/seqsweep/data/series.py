"""Series: a table of numbers in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from seqsweep import checks
from seqsweep.data.classes import listed
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seqsweep.data.table import Table, TableFile


@dataclass(frozen=True, eq=False)
class Series:
    """Some consecutive rows of a file's table; they know those before them."""

    file: TableFile
    date: str
    """The name of the dates' column."""
    date_format: str | None
    """As the file writes them, for ``strftime``; None where it holds no text, or no form can be told."""
    times: np.ndarray
    """All of the file's rows, datetime64, ascending."""
    columns: tuple[str, ...]
    values: np.ndarray
    """All of the file's rows x columns, float64, finite."""
    begin: int
    end: int

    def __len__(self) -> int:
        """How many rows there are."""
        return self.end - self.begin

    def take(self, index: np.ndarray) -> Series:
        """The rows at `index`, which follow one another."""
        return replace(self, begin=self.begin + int(index[0]), end=self.begin + int(index[-1]) + 1)

    def place(self, row: int) -> str:
        """The file and the line or row in it."""
        return self.file.place(self.begin + row)

    @property
    def path(self) -> Path:
        """The file's."""
        return self.file.path

    def strata(self) -> None:
        """Steps have no classes."""

    def grouped(self) -> None:
        """Steps have no groups."""

    def rows(self, columns: Sequence[str], before: int = 0) -> np.ndarray:
        """Those columns, rows x columns, with up to `before` rows that stand before.

        Raises DataError for a column that the file lacks.
        """
        for name in columns:
            if name not in self.columns:
                raise DataError(no_column(self, name))
        index = [self.columns.index(name) for name in columns]
        return self.values[max(0, self.begin - before) : self.end, index]


def read_series(
    file: TableFile,
    date: str | None = None,
    columns: Sequence[str] | None = None,
    date_format: str | None = None,
) -> Series:
    """The table in a file.

    Args:
        file: the file.
        date: the dates' column; None for the only one that holds dates.
        columns: those wanted; None for all that hold numbers.
        date_format: how dates are written, for ``strptime``; None for a guess from the first.

    Raises:
        DataError: the file is malformed, a wanted value is no finite number, or dates do not ascend.

    """
    table = file.read([date] if date is not None and date_format is not None else [])
    if len(table) == 0:
        raise DataError(f"{file.path}: has a header, but no rows")
    date = _only_dates(table, date_format) if date is None else date
    table.require("date", date)
    if columns is None:
        columns = table.numeric_names({date})
    if not columns:
        raise DataError(f"{file.path}: has no column of numbers, only {listed(table.names)}")
    for name in columns:
        table.require("features", name)
    times, date_format = _times(table, date, date_format)
    values = np.stack([table.numbers(name) for name in columns], axis=1)
    return Series(file, date, date_format, times, tuple(columns), values, 0, len(table))


def no_column(series: Series, name: str) -> str:
    """What to tell who asked for a column that is not there."""
    hint = checks.nearest(name, series.columns)
    return f"{series.path}: has no column of numbers '{name}', only {listed(series.columns)}{hint}"


def _times(table: Table, name: str, form: str | None) -> tuple[np.ndarray, str | None]:
    """(rows,) datetime64, and the dates' form. Raises DataError unless they ascend."""
    first = _written(table, name, 0)
    given, form = form, form or _date_format(first)
    times = _dates(table, name, form)
    if times is None:
        raise DataError(
            f"{table.file.place(0)}: '{first}' in '{name}' is no date whose form can be told; "
            "give it with data.date_format, such as '%d.%m.%Y'"
        )
    missing = np.isnat(times)
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"{table.file.place(row)}: '{_written(table, name, row)}' in '{name}' is no date in the form "
            f"{form or 'of the others'}; expected all in one form (data.date_format)"
        )
    if given is None:
        _check_unambiguous(table, name, form)
    behind = np.diff(times) <= np.timedelta64(0)
    if behind.any():
        row = int(np.argmax(behind)) + 1
        again = bool(times[row] == times[row - 1])
        what = "stands there twice" if again else f"comes after '{_written(table, name, row - 1)}'"
        raise DataError(
            f"{table.file.place(row)}: '{_written(table, name, row)}' in '{name}' {what}; "
            "expected each date once, in ascending order"
        )
    return times, form


def _check_unambiguous(table: Table, name: str, form: str | None) -> None:
    """DataError where days and months could be exchanged in every row, and nobody has said which is which."""
    if form is None or not form.startswith(("%m", "%d")):
        return
    exchanged = form.replace("%m", "%-").replace("%d", "%m").replace("%-", "%d")
    others = _dates(table, name, exchanged)
    if others is not None and not np.isnat(others).any():
        raise DataError(
            f"{table.file.place(0)}: '{_written(table, name, 0)}' in '{name}' may begin with its day or its "
            f"month; say which with data.date_format='{form}' or '{exchanged}'"
        )


def _dates(table: Table, name: str, form: str | None) -> np.ndarray | None:
    """(rows,) datetime64 without a zone, not-a-time for what is no date; None without a form for texts."""
    import pandas as pd
    import pyarrow as pa

    column = table.data[name]
    if _is_temporal(table, name):
        try:
            return np.asarray(column.cast(pa.timestamp("ns")).to_numpy())
        except pa.ArrowException as error:
            raise DataError(
                f"{table.file.path}: '{name}' holds dates before 1678 or after 2261, which are not supported"
            ) from error
    if form is None:
        return None
    texts = pd.Series(column.cast(pa.string()).to_pandas())
    times = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
    return np.asarray(times.dt.tz_localize(None).to_numpy("datetime64[ns]"))


def _only_dates(table: Table, form: str | None) -> str:
    """The one column that holds dates, by its type or its first value."""
    found = [name for name in table.names if _holds_dates(table, name, form)]
    if len(found) != 1:
        what = f"dates in {listed(found)}" if found else f"no column of dates, only {listed(table.names)}"
        raise DataError(f"{table.file.path}: has {what}; say which column it is: data.date=...")
    return found[0]


def _holds_dates(table: Table, name: str, form: str | None) -> bool:
    import pandas as pd

    if _is_temporal(table, name):
        return True
    first = table.data[name][0].as_py()
    if not isinstance(first, str) or table.is_number(name):
        return False
    if form is None:
        return _date_format(first) is not None
    return not pd.isna(pd.to_datetime(first, format=form, errors="coerce"))


def _is_temporal(table: Table, name: str) -> bool:
    import pyarrow.types as kinds

    kind = table.data[name].type
    return bool(kinds.is_date(kind) or kinds.is_timestamp(kind))


def _date_format(text: str) -> str | None:
    from pandas.tseries.api import guess_datetime_format

    return guess_datetime_format(text) if text else None


def _written(table: Table, name: str, row: int) -> str:
    """What the file says there, a Parquet file in Python's words."""
    return table.file.cell(row, table.names.index(name)) or str(table.data[name][row].as_py() or "")
