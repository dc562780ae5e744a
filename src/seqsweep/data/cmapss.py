"""CMapss: how many more cycles a turbofan engine will run, from its sensors so far."""

from __future__ import annotations

import csv
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from seqsweep import checks
from seqsweep.data import files
from seqsweep.data.batch import Examples
from seqsweep.data.corpus import Corpus, Fitted
from seqsweep.data.jagged import Jagged
from seqsweep.data.records import rows_of
from seqsweep.data.scaling import SCALES, learn_scale, standardised
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

SUBSETS = ("FD001", "FD002", "FD003", "FD004")
SETTINGS = 3
FEATURES = (
    *(f"setting {number}" for number in range(1, SETTINGS + 1)),
    *(f"sensor {number}" for number in range(1, 22)),
)
"""Of a row, after its engine's number and the cycle's."""
TARGET = "remaining cycles"
WINDOWS = {"train": "all", "val": "drawn", "test": "last"}


@dataclass(frozen=True, eq=False)
class Engines:
    """Records held in columns: each is a stretch of the rows of `values`."""

    path: Path
    units: np.ndarray
    """(engines,) their numbers."""
    lines: np.ndarray
    """(engines,) the line that each begins at."""
    starts: np.ndarray
    """(engines,) where each begins in `values`."""
    lengths: np.ndarray
    values: np.ndarray = field(repr=False)
    """rows x features."""
    cycles: np.ndarray = field(repr=False)
    """(rows,) their numbers."""
    after: np.ndarray
    """(engines,) cycles that each runs on after its last row."""
    windows: str = "last"
    """Which of an engine's windows are examples: ``all``, some that are ``drawn``, or the ``last``."""

    def __len__(self) -> int:
        """How many engines there are."""
        return len(self.units)

    def take(self, index: np.ndarray) -> Engines:
        """The engines at `index`; `values` is shared."""
        columns = ("units", "lines", "starts", "lengths", "after")
        return replace(self, **{name: getattr(self, name)[index] for name in columns})

    def place(self, row: int) -> str:
        """The line of the engine's first row, and its number."""
        return f"{self.path}, line {self.lines[row]}, engine {self.units[row]:g}"

    def strata(self) -> None:
        """Engines are all of one sort."""

    def grouped(self) -> None:
        """An engine is one record."""


@dataclass(eq=False, repr=False)
class CMapss(Corpus[Engines]):
    """NASA's C-MAPSS simulations of turbofan engines (Saxena et al. 2008).

    A row of 26 numbers is one cycle of one engine: the engine's number, the cycle's,
    3 settings and 21 sensors; sensors that are constant in training are dropped. An example is a
    window of the `window` latest cycles, its target the cycles still to come:

    train   every such window of each engine, which runs to its failure; targets are capped at `cap`
    val     of engines held out whole, `draws` windows each, at cycles drawn by `split_seed` from
            those with at most `cap` to come (beyond the cap no prediction can be right)
    test    the last window of each engine, whose true remaining life, uncapped, is in the file `rul`

    An engine of fewer cycles is a window by itself, of its true length.
    """

    _: KW_ONLY
    batch_size: int = 128
    split_by: str = "row"
    subset: str = "FD001"
    """``FD001`` to ``FD004``: what files are called that are not named themselves."""
    rul: str | None = None
    """The file of the remaining lives of the engines in `test`, one a line."""
    window: int = 30
    cap: int = 125
    draws: int = 10
    settings: bool = False
    """Whether models see the settings too, as FD002 and FD004 need: engines fly under six of them there."""
    scale: str = "standard"
    """``standard``: mean 0 and standard deviation 1; ``minmax``: 0 to 1; ``none``. By the training part."""

    splits_by = ("row",)

    def __post_init__(self) -> None:
        """Check the arguments, and give the files their names."""
        checks.one_of("subset", self.subset, SUBSETS)
        self.train = self.train or f"train_{self.subset}.txt"
        self.test = self.test or f"test_{self.subset}.txt"
        self.rul = self.rul or f"RUL_{self.subset}.txt"
        super().__post_init__()
        checks.one_of("scale", self.scale, SCALES)
        for name in ("window", "cap", "draws"):
            checks.positive_int(name, getattr(self, name))
        if not isinstance(self.settings, bool):
            raise ConfigError(f"settings={self.settings}: expected true or false")
        if self.window > self.max_length:
            raise ConfigError(f"window={self.window}: expected at most max_length={self.max_length}")

    def read(self, path: Path, labelled: bool = True) -> Engines:
        """The file's engines."""
        lines, table = _table(path, width=2 + len(FEATURES))
        if not len(table):
            raise DataError(f"{path}: empty; expected rows of {2 + len(FEATURES)} numbers")
        units, cycles = table[:, 0], table[:, 1]
        starts = np.flatnonzero(np.diff(units, prepend=np.nan))
        _check_order(path, lines, units, cycles, starts)
        lengths = np.diff(starts, append=len(units))
        after = self._lives(path, len(starts)) if labelled else np.zeros(len(starts))
        return Engines(path, units[starts], lines[starts], starts, lengths, table[:, 2:], cycles, after)

    def belonging(self, path: Path) -> list[Path]:
        """The file itself, and with the test file that of the remaining lives."""
        return [path, self._rul()] if self._is_test(path) else [path]

    def divided(self, read: Mapping[str, Engines]) -> dict[str, Engines]:
        """Whole engines for each part, and which of their windows count there."""
        return {
            part: replace(engines, windows=WINDOWS[part]) for part, engines in super().divided(read).items()
        }

    def fit(self, train: Engines) -> Fitted:
        """Which features vary, their means and scales, and those of the target."""
        rows = train.values[rows_of(train.starts, train.lengths)]
        varies = rows.min(axis=0) < rows.max(axis=0)
        varies[:SETTINGS] &= self.settings
        varying = np.flatnonzero(varies)
        if len(varying) == 0:
            raise DataError(f"{train.path}: no sensor ever changes")
        _, _, remaining = self._windows(train)
        if remaining.min() == remaining.max():
            raise DataError(
                f"{train.path}: all windows have {remaining[0]:g} cycles to come; nothing can be learnt"
            )
        target = learn_scale(remaining[:, None])
        return {
            "varying": varying.tolist(),
            "target_means": target["means"],
            "target_scales": target["scales"],
            **learn_scale(rows[:, varying], self.scale),
        }

    def encode(self, records: Engines, fitted: Fitted) -> dict[str, np.ndarray]:
        """Scaled rows, once each; where in them windows begin; their lengths and targets."""
        rows = records.values[rows_of(records.starts, records.lengths)][:, fitted["varying"]]
        offsets = np.cumsum(records.lengths) - records.lengths
        engine, seen, remaining = self._windows(records)
        lengths = np.minimum(seen, self.window)
        target = {"means": fitted["target_means"], "scales": fitted["target_scales"]}
        return {
            "values": standardised(rows, fitted),
            "starts": offsets[engine] + seen - lengths,
            "lengths": lengths,
            "targets": standardised(remaining[:, None], target),
        }

    def examples(self, arrays: Mapping[str, Tensor], fitted: Fitted) -> Examples:
        """A window, and what remains after it."""
        windows = Jagged(arrays["values"], arrays["starts"], arrays["lengths"])
        return Examples(windows, arrays["targets"])

    def describe_to_models(self, fitted: Fitted) -> DataSpec:
        """Real-valued steps, one number a window."""
        return DataSpec(
            name=self.dataset or f"cmapss_{self.subset.lower()}",
            kind="regression",
            input_size=len(fitted["varying"]),
            output_size=1,
            max_length=self.window,
            target_names=(TARGET,),
            target_means=tuple(fitted["target_means"]),
            target_scales=tuple(fitted["target_scales"]),
        )

    def facts(self, fitted: Fitted) -> str:
        """Features and windows."""
        left_out = [name for column, name in enumerate(FEATURES) if column not in fitted["varying"]]
        return (
            f"{len(fitted['varying'])} features (left out: {', '.join(left_out) or 'none'}), "
            f"windows of {self.window} cycles, remaining life capped at {self.cap}"
        )

    def write(self, records: Engines, predictions: Sequence[Any], file: TextIO) -> None:
        """CSV: a row an engine with its number, its last cycle, and how many are to come."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["engine", "cycle", "remaining"])
        last = records.cycles[records.starts + records.lengths - 1]
        for unit, cycle, [remaining] in zip(records.units, last, predictions, strict=True):
            writer.writerow([f"{unit:g}", f"{cycle:g}", f"{remaining:.2f}"])

    def _windows(self, engines: Engines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each window: which engine's it is, how many of its rows are seen, the cycles to come."""
        firsts = np.minimum(self.window, engines.lengths)
        if engines.windows == "last":
            firsts = engines.lengths
        counts = engines.lengths - firsts + 1
        engine = np.repeat(np.arange(len(engines)), counts)
        seen = rows_of(firsts, counts)
        last = engines.cycles[engines.starts + engines.lengths - 1]
        now = engines.cycles[engines.starts[engine] + seen - 1]
        remaining = (last + engines.after)[engine] - now
        if engines.windows == "drawn":
            drawn = self._drawn(engine, remaining)
            engine, seen, remaining = engine[drawn], seen[drawn], remaining[drawn]
        # a test's truth stays as it is
        return engine, seen, remaining if engines.windows == "last" else np.minimum(remaining, self.cap)

    def _drawn(self, engine: np.ndarray, remaining: np.ndarray) -> np.ndarray:
        """Of the windows with at most `cap` cycles to come, `draws` an engine, ascending."""
        random = np.random.default_rng(self.split_seed)
        chosen = []
        for number in range(int(engine.max()) + 1):
            open_to = np.flatnonzero((engine == number) & (remaining <= self.cap))
            chosen.append(random.permutation(open_to)[: self.draws])
        return np.sort(np.concatenate(chosen))

    def _is_test(self, path: Path) -> bool:
        assert self.test is not None
        return path == self.find("test", self.test)

    def _rul(self) -> Path:
        assert self.rul is not None
        return self.find("rul", self.rul)

    def _lives(self, path: Path, engines: int) -> np.ndarray:
        """(engines,) the cycles that each has after its last row: none, except in the test file."""
        if not self._is_test(path):
            return np.zeros(engines)
        lines, lives = _table(self._rul(), width=1)
        if len(lives) != engines:
            raise DataError(
                f"{self._rul()}: {len(lives)} remaining lives, "
                f"expected {engines}, one for each engine of {path}"
            )
        if lives.min() < 0:
            line = lines[np.argmin(lives[:, 0])]
            raise DataError(f"{self._rul()}, line {line}: {lives.min():g} cycles, expected at least 0")
        return lives[:, 0]


def _table(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The line number of each row that is not blank, and (rows, width) finite numbers."""
    # Latin-1 takes any byte: what is no text is then no number
    lines = [line.split() for line in files.read_lines(path, "latin-1")]
    numbers = np.array([number for number, row in enumerate(lines, start=1) if row], dtype=np.int64)
    rows = [lines[number - 1] for number in numbers]
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != width:
            raise DataError(f"{path}, line {number}: {len(row)} values, expected {width}")
    try:
        table = np.array(rows, dtype=np.float64).reshape(-1, width)
    except ValueError:
        table = np.array([[_number(text) for text in row] for row in rows])
    wrong = np.argwhere(~np.isfinite(table))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}, line {numbers[row]}: value {column + 1} is '{rows[row][column]}', "
            "expected a finite number"
        )
    return numbers, table


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _check_order(
    path: Path, lines: np.ndarray, units: np.ndarray, cycles: np.ndarray, starts: np.ndarray
) -> None:
    """DataError unless an engine's rows stand together and its cycles rise."""
    _, firsts = np.unique(units[starts], return_index=True)
    if len(firsts) < len(starts):
        again = starts[np.setdiff1d(np.arange(len(starts)), firsts)[0]]
        raise DataError(
            f"{path}, line {lines[again]}: engine {units[again]:g} again; "
            "expected all its rows to stand together"
        )
    rises = cycles[1:] > cycles[:-1]
    rises[starts[1:] - 1] = True
    if not rises.all():
        row = int(np.argmin(rises)) + 1
        raise DataError(
            f"{path}, line {lines[row]}: cycle {cycles[row]:g} of engine {units[row]:g} comes after "
            f"its cycle {cycles[row - 1]:g}; expected cycles that rise"
        )
