"""Files of labelled texts: tables, JSON lines, lines that begin with a label, folders with a file a class.

Every function raises DataError, which names the file and the line.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from seqsweep import checks
from seqsweep.data import files
from seqsweep.data.classes import listed
from seqsweep.data.records import Rows
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

Column = str | int
"""Its name, or its number from 1."""

DELIMITERS = {"csv": ",", "tsv": "\t"}
TEXT_NAMES = ("text", "sentence", "message", "question", "review", "content", "comment", "tweet", "document")
LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "intent", "topic", "tag")
LARGEST_FIELD = 1 << 30


@dataclass(frozen=True)
class Columns:
    """Where text and label stand; None for what is to be found out."""

    text: Column | None = None
    label: Column | None = None

    @property
    def named(self) -> bool:
        """Whether a column has a name, so that there must be a header."""
        return isinstance(self.text, str) or isinstance(self.label, str)

    def plain(self) -> list[Column | None]:
        """As JSON has it."""
        return [self.text, self.label]


def read_table(path: Path, encoding: str, form: str, columns: Columns, labelled: bool) -> Rows:
    """The rows of a file of comma- or tab-separated values; only the first kind can have quotes."""
    table = list(_cut(path, files.read_text(path, encoding), form))
    if not table:
        return Rows(path, [], [], [])
    header = table[0][1] if columns.named or _is_header(table[0][1]) else None
    found = _found(path, columns, header, table, labelled)
    places = [
        _place(path, column, header, len(table[0][1])) for column in found.plain() if column is not None
    ]
    body = table if header is None else table[1:]
    where = [f"line {line}" for line, _ in body]
    texts = [row[places[0]] for _, row in body]
    labels = [row[places[1]].strip() for _, row in body] if labelled else None
    return _checked(Rows(path, texts, where, labels, extra={"columns": found.plain()}))


def read_jsonl(path: Path, encoding: str, columns: Columns, labelled: bool) -> Rows:
    """The objects of a file that has one a line."""
    rows = [
        (number, _object(path, number, line))
        for number, line in enumerate(files.read_lines(path, encoding), start=1)
        if line.strip()
    ]
    if not rows:
        return Rows(path, [], [], [])
    found = _named(path, columns, list(rows[0][1])) if labelled else columns
    text = found.text or _usual(list(rows[0][1]), TEXT_NAMES, None)
    if text is None:
        raise DataError(
            f"{path}, line {rows[0][0]}: has {', '.join(rows[0][1])}; say which is the text: data.text_column"
        )
    texts = [_value(path, number, row, str(text), str) for number, row in rows]
    labels = [
        _value(path, number, row, str(found.label), str | int).strip() for number, row in rows if labelled
    ]
    where = [f"line {number}" for number, _ in rows]
    return _checked(Rows(path, texts, where, labels if labelled else None, extra={"columns": found.plain()}))


def read_label_first(
    path: Path, encoding: str, separator: str, coarse: bool, known: Collection[str] | None
) -> Rows:
    """Lines of a label, the separator, and the text; of a `coarse` label what stands before its colon.

    `known` are the classes where the labels are not asked for: they may then be there, in
    every line, or not.
    """
    lines = [(n, line) for n, line in enumerate(files.read_lines(path, encoding), start=1) if line.strip()]
    where = [f"line {number}" for number, _ in lines]
    pairs = [line.partition(separator) for _, line in lines]
    labels = [label.partition(":")[0] if coarse else label for label, _, _ in pairs]
    texts = [text.strip() for _, _, text in pairs]
    whole = [bool(found) for _, found, _ in pairs]
    if known is not None:
        labelled = all(whole) and set(labels) <= set(known)
        return Rows(path, texts if labelled else [line.strip() for _, line in lines], where)
    if not all(whole):
        row = whole.index(False)
        raise DataError(
            f"{path}, {where[row]}: expected a label, '{separator}' (data.label_separator) and a text, "
            f"not '{pairs[row][0][:40]}'"
        )
    return _checked(Rows(path, texts, where, labels))


def read_folder(path: Path, encoding: str, labelled: bool) -> Rows:
    """The lines of the folder's .txt files, plain or gzipped, each file a class and named after it."""
    if not path.is_dir() and labelled:
        raise DataError(f"{path}: expected a folder with one .txt file a class (data.format=folder)")
    found = _text_files(path) if path.is_dir() else [path]
    if not found:
        raise DataError(f"{path}: holds no .txt files; expected one a class, named after it")
    rows = [
        (line.strip(), f"{file.name}, line {number}", file.name.removesuffix(".gz").removesuffix(".txt"))
        for file in found
        for number, line in enumerate(files.read_lines(file, encoding), start=1)
        if line.strip()
    ]
    texts, where, labels = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return Rows(path, texts, where, labels if labelled else None)


def table_writer(file: TextIO, form: str) -> Any:
    """A `csv.writer` of what `read_table` reads."""
    if form == "csv":  # every text in quotes: left to itself the writer forgets a carriage return
        return csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    return csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")


def _text_files(folder: Path) -> list[Path]:
    return [file for file in files.under(folder) if file.name.removesuffix(".gz").endswith(".txt")]


def _cut(path: Path, text: str, form: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line that it begins at, all as wide as the first."""
    csv.field_size_limit(LARGEST_FIELD)  # of the process; the default of 131,072 is less than some texts
    reader = csv.reader(
        io.StringIO(text, newline="\n"),
        delimiter=DELIMITERS[form],
        quoting=csv.QUOTE_MINIMAL if form == "csv" else csv.QUOTE_NONE,
        strict=True,
    )
    begin, width = 1, 0
    try:
        for row in reader:
            width = width or len(row)
            if row and len(row) != width:
                raise DataError(
                    f"{path}, line {begin}: {_columns(len(row))}, expected {width} as above; "
                    + (
                        "a text that holds a comma must be in quotes"
                        if form == "csv"
                        else "is a tab missing?"
                    )
                )
            if row:
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {begin}: not a row of {form.upper()} ({error})") from error


def _is_header(row: Sequence[str]) -> bool:
    names = {name.strip().lower() for name in row}
    return not names.isdisjoint(TEXT_NAMES) and not names.isdisjoint(LABEL_NAMES)


def _found(
    path: Path,
    columns: Columns,
    header: list[str] | None,
    table: list[tuple[int, list[str]]],
    labelled: bool,
) -> Columns:
    """The columns, those found out that were not given."""
    if not labelled:
        alone = len(table[0][1]) == 1 and header is None
        return Columns(1 if alone else columns.text)
    if header is not None:
        return _named(path, columns, header)
    if None in columns.plain():
        return _guessed(path, columns, table)
    assert columns.label is not None
    _check_no_header(path, columns.label, table, certain=True)
    return columns


def _guessed(path: Path, columns: Columns, table: list[tuple[int, list[str]]]) -> Columns:
    """Of two columns without a header: the label is the one with fewer different values."""
    width = len(table[0][1])
    if width != 2:
        raise DataError(
            f"{path}: no header, and {_columns(width)}; say which hold text and label: "
            "data.text_column=1 data.label_column=2, counted from 1, or by name if line 1 is a header"
        )
    if columns.text is not None or columns.label is not None:
        text = columns.text if isinstance(columns.text, int) else 3 - int(columns.label or 0)
        return Columns(text, 3 - text)
    different = [len({row[column].strip() for _, row in table}) for column in (0, 1)]
    label = int(different[0] >= different[1])
    _check_no_header(path, label + 1, table)
    return Columns(2 - label, label + 1)


def _check_no_header(
    path: Path, label: Column, table: list[tuple[int, list[str]]], *, certain: bool = False
) -> None:
    """DataError if the first line's label occurs in no other: it is then a header, most likely.

    Where the columns were given the user is believed, unless that label is the only one of its sort.
    """
    line, first = table[0]
    column = _place(path, label, None, len(first))
    labels = Counter(row[column].strip() for _, row in table)
    once = {name for name, count in labels.items() if count == 1}
    if first[column].strip() in once and not (certain and (len(once) > 1 or len(table) <= 3)):
        raise DataError(
            f"{path}, line {line}: no other line has the label '{first[column]}'; if this is a "
            "header, give the columns by name (data.text_column, data.label_column), else leave the line out"
        )


def _named(path: Path, columns: Columns, names: list[str]) -> Columns:
    """The columns that were not given: those of a usual name, or the other one of two."""
    for given in columns.plain():
        if isinstance(given, str) and given not in names:
            raise _missing(path, given, names)
    text = columns.text or _usual(names, TEXT_NAMES, columns.label)
    label = columns.label or _usual(names, LABEL_NAMES, text)
    text = text or _usual(names, TEXT_NAMES, label)
    for what, found in (("text", text), ("label", label)):
        if found is None:
            raise DataError(
                f"{path}: which column is the {what}? Name it: data.{what}_column=..., one of {listed(names)}"
            )
    return Columns(text, label)


def _usual(names: list[str], usual: Sequence[str], other: Column | None) -> str | None:
    """The column of a usual name; else the only one besides `other`; else None."""
    lower = {name.strip().lower(): name for name in names}
    rest = [name for name in names if name != other]
    found = [lower[name] for name in usual if name in lower and lower[name] in rest]
    return found[0] if found else rest[0] if other is not None and len(rest) == 1 else None


def _place(path: Path, column: Column, header: list[str] | None, width: int) -> int:
    """Where in a row the column stands, from 0."""
    names = header or []
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and 1 <= column <= width:
        return column - 1
    raise _missing(path, column, names or [f"{number}" for number in range(1, width + 1)])


def _missing(path: Path, column: Column, names: list[str]) -> DataError:
    near = checks.nearest(str(column), names)
    return DataError(f"{path}: there is no column '{column}'; it has {listed(names)}{near}")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(
            f"{path}, line {number}: expected an object with a text and a label, not '{line[:40]}'"
        )
    return found


def _value(path: Path, number: int, row: dict[str, Any], key: str, kind: Any) -> str:
    if key not in row:
        raise DataError(f"{path}, line {number}: has no '{key}'; it has {listed(list(row))}")
    value = row[key]
    if not isinstance(value, kind):
        expected = "a text" if kind is str else "a text or a whole number"
        raise DataError(f"{path}, line {number}: '{key}' is {json.dumps(value)[:40]}, expected {expected}")
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _checked(records: Rows) -> Rows:
    """The records, no label of which is empty."""
    for row, label in enumerate(records.labels or ()):
        if not label:
            raise DataError(f"{records.place(row)}: the label is empty")
    return records


def _columns(count: int) -> str:
    return f"{count} column" if count == 1 else f"{count} columns"
