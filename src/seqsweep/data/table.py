"""Tables of named columns, from CSV or Parquet files, whose mistakes are told with their row."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from seqsweep import checks
from seqsweep.data import files
from seqsweep.data.classes import listed
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

PARQUET = (".parquet", ".pq")
NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
LARGEST = float(np.finfo(np.float32).max)
"""Beyond it a number is infinite in the models' precision."""


LARGEST_FIELD = 1 << 30
ROW_NUMBERS = re.compile(r"|Unnamed: \d+|__index_level_\d+__")
"""Names of the column that a data frame written with its index begins or ends with."""


@dataclass(frozen=True)
class TableFile:
    """A file of rows under a header, comma-separated or with another `separator`; or a Parquet file."""

    path: Path
    separator: str = ","
    encoding: str = "utf-8"
    remedy: str = "mend it, leave out the sequence, or name the columns to use (data.features)"
    """What to do about a row that is refused."""

    def read(self, texts: Sequence[str] = ()) -> Table:
        """All of it, the types of columns inferred, but those in `texts` read as they are written.

        Raises DataError where it is empty, damaged, ragged, or not text in the encoding.
        """
        raw = files.read_bytes(self.path)
        if not raw or raw.isspace():
            raise DataError(f"{self.path}: empty; expected a header of column names, and rows")
        data = _parquet(self.path, raw) if self.is_parquet else self._csv(raw, texts)
        names = [name.strip() for name in data.column_names]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{self.path}: two columns are named '{name}'; expected each name once")
        return Table(self, data.rename_columns(names))

    @property
    def is_parquet(self) -> bool:
        """Whether it is one, by its name."""
        return any(suffix.lower() in PARQUET for suffix in self.path.suffixes)

    def place(self, row: int) -> str:
        """Where the user finds a row of the table: the file, and the line or row in it."""
        if self.is_parquet:
            return f"{self.path}, row {row + 1}"
        line, _ = next(islice(self._rows(), row + 1, None))
        return f"{self.path}, line {line}"

    def cell(self, row: int, column: int) -> str:
        """What is written there; nothing for a Parquet file, where nothing is written."""
        if self.is_parquet:
            return ""
        _, cells = next(islice(self._rows(), row + 1, None))
        return cells[column].strip()

    def _csv(self, raw: bytes, texts: Sequence[str]) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow

        try:
            data = arrow.read_csv(
                pa.BufferReader(raw),
                read_options=arrow.ReadOptions(encoding=self.encoding),
                parse_options=arrow.ParseOptions(delimiter=self.separator, newlines_in_values=True),
                convert_options=arrow.ConvertOptions(column_types=self._types(texts)),
            )
            _ = data.column_names  # the header is decoded only now
        except (pa.ArrowException, ValueError, LookupError) as error:
            raise self._mistake(error) from error
        if any(pa.types.is_binary(kind) for kind in data.schema.types):
            raise self._mistake(ValueError("bytes that are not text"))
        return data

    def _types(self, texts: Sequence[str]) -> dict[str, Any]:
        """That of each column in `texts`, by its name as the header writes it, spaces around it included."""
        import pyarrow as pa

        _, header = next(self._rows(), (1, []))
        return {name: pa.string() for name in header if name.strip() in texts}

    def _mistake(self, error: Exception) -> DataError:
        """What is wrong with a file that the fast reader gave up on, sought row by row."""
        rows = self._rows()
        try:
            _, header = next(rows)
            for line, row in rows:
                if len(row) != len(header):
                    return DataError(
                        f"{self.path}, line {line}: {len(row)} values, "
                        f"expected {len(header)}, one for each column of the header"
                    )
        except (csv.Error, StopIteration) as other:
            error = other
        return DataError(f"{self.path}: not a table ({str(error).splitlines()[0]})")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows that are not blank, the header among them, each with the line that it begins at."""
        text = files.read_text(self.path, self.encoding)
        csv.field_size_limit(LARGEST_FIELD)  # of the process; the default is less than some texts
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.separator)
        begin = 1
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name; as a `pyarrow.Table` has them."""

    file: TableFile
    data: Any

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self.data.num_rows)

    def numeric_names(self, others_than: Collection[str]) -> list[str]:
        """Of columns of numbers, but not those in `others_than`, nor a data frame's row numbers."""
        return [
            name
            for name in self.names
            if name not in others_than and not ROW_NUMBERS.fullmatch(name) and self.is_number(name)
        ]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return list(self.data.column_names)

    def require(self, option: str, name: str) -> None:
        """DataError unless there is such a column, which ``data.<option>`` names."""
        if name in self.names:
            return
        [first, *others] = self.names
        hint = checks.nearest(name, self.names)
        if not others and any(mark in first for mark in ";,\t|"):
            hint = "; data.separator says what stands between columns"
        raise DataError(
            f"{self.file.path}: no column '{name}' (data.{option}={name}); it has {listed(self.names)}{hint}"
        )

    def is_number(self, name: str) -> bool:
        """Whether the column holds numbers: by its type, or in most of its rows."""
        import pyarrow.types as kinds

        kind = self.data[name].type
        if kinds.is_string(kind) or kinds.is_large_string(kind):
            return len(self) > 0 and 2 * self._numeric(name).sum() >= len(self)
        return bool(
            kinds.is_integer(kind)
            or kinds.is_floating(kind)
            or kinds.is_decimal(kind)
            or kinds.is_boolean(kind)
            or kinds.is_null(kind)  # all of it is missing
        )

    def numbers(self, name: str) -> np.ndarray:
        """(rows,) float64. Raises DataError for a cell that is empty, no number, or not finite."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.data[name]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            self._refuse(name, ~self._numeric(name))
        try:
            values: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy()
        except pa.ArrowException as error:
            raise DataError(
                f"{self.file.path}: column '{name}' is of type {column.type}, expected numbers"
            ) from error
        self._refuse(name, ~(np.abs(values) <= LARGEST))
        return values

    def times(self, name: str) -> np.ndarray:
        """(rows,) numbers, int64 or float64, that order the rows by a column of numbers, dates or times."""
        import pyarrow as pa

        column = self.data[name]
        if not pa.types.is_temporal(column.type):
            if not self.is_number(name):
                self._refuse(
                    name, np.ones(len(self), dtype=bool), "a number, or a date such as 2016-07-01 12:00"
                )
            return self.numbers(name)
        self._refuse(name, column.is_null().to_numpy(), "a date")
        width = pa.int32() if column.type.bit_width == pa.int32().bit_width else pa.int64()
        return np.asarray(column.cast(width).to_numpy(), dtype=np.int64)

    def codes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) the number of each row's text; and the texts, in the order of their first occurrence.

        Raises DataError for an empty cell.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pc.utf8_trim_whitespace(self.data[name].cast(pa.string()))
        self._refuse(name, pc.fill_null(pc.equal(texts, ""), True).to_numpy(), "a value")
        chunks = texts.dictionary_encode().unify_dictionaries().chunks
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
        return codes, np.array(chunks[0].dictionary.to_pylist(), dtype=object)

    def _numeric(self, name: str) -> np.ndarray:
        """(rows,) bool: in which rows a column of texts has numbers."""
        import pyarrow.compute as pc

        matches = pc.match_substring_regex(self.data[name], NUMBER)
        return np.asarray(pc.fill_null(matches, False).to_numpy())

    def _refuse(self, name: str, wrong: np.ndarray, expected: str = "a finite number") -> None:
        """DataError for the first row that is wrong, if one is."""
        if not wrong.any():
            return
        row = int(np.argmax(wrong))
        text = self.file.cell(row, self.names.index(name)) or self.data[name][row].as_py()
        given = "is empty" if text is None or text == "" else f"is '{text}'"
        raise DataError(
            f"{self.file.place(row)}: column '{name}' {given}, expected {expected}; {self.file.remedy}"
        )


def _parquet(path: Path, raw: bytes) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(pa.BufferReader(raw))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: not a whole Parquet file ({reason}); write or download it again") from error
