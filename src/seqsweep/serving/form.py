"""Form: how one kind of data is asked over MLflow, and how it answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from seqsweep.data import SequenceData
from seqsweep.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

    from seqsweep.data.batch import Examples
    from seqsweep.serving.description import Array, Columns, Parameter
    from seqsweep.tasks import Task

REQUEST = Path("request")
"""What messages call the table that was sent."""
STRING, DOUBLE, STRINGS, BINARY, ANY = "string", "double", "strings", "binary", "any"
"""Types of columns: MLflow's, a list of strings, and whatever a file of the kind may hold there."""


DataT = TypeVar("DataT", bound=SequenceData)


class Form(Generic[DataT]):
    """Between a request and the data module that the run was trained with.

    A kind says what its requests and answers look like, and how they become what the same
    module makes of a file (`examples`) and writes of predictions (`answer`).
    """

    asked: ClassVar[Columns | Array] = {}
    answers: ClassVar[Columns | Array] = {}
    """What `inputs` and `outputs` are where all runs of the kind have the same."""

    def __init__(self, data: DataT) -> None:
        self.data = data

    @property
    def inputs(self) -> Columns | Array:
        """What is asked for."""
        return self.asked

    @property
    def outputs(self) -> Columns | Array:
        """What comes back."""
        return self.answers

    def parameters(self, task: Mapping[str, Any]) -> dict[str, Parameter]:
        """What a request may set; `task` is the run's configuration of it."""
        return {}

    def examples(self, given: Any) -> tuple[Any, Examples]:
        """A request's records and examples. Raises DataError as reading a file does."""
        raise NotImplementedError

    def answer(self, records: Any, predictions: Sequence[Any]) -> DataFrame | np.ndarray:
        """What the task said, as the answer."""
        raise NotImplementedError

    def example(self, source: DataT) -> DataFrame | np.ndarray:
        """A small request from the validation data of `source`, a module that has taken over nothing.

        Raises DataError where its files are gone.
        """
        raise NotImplementedError

    def set(self, task: Task, parameters: Mapping[str, Any]) -> None:
        """Let the task heed the request's parameters. Raises ConfigError for one that cannot be."""


@contextmanager
def as_file(name: str) -> Iterator[Path]:
    """A place for a request that is read as a file of its kind is; messages call it by its name alone."""
    with tempfile.TemporaryDirectory(prefix="seqsweep-") as folder:
        path = Path(folder) / name
        try:
            yield path
        except UsageError as error:
            raise DataError(str(error).replace(str(path), name)) from error


def texts(given: DataFrame, column: str) -> list[str]:
    """The column's values. Raises DataError for what is no text."""
    values = given[column].tolist()
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str):
            found = "missing" if value is None or isinstance(value, float) else repr(value)
            raise DataError(f"{REQUEST}, row {row}: '{column}' is {found}, expected a text")
    return values


def rows(count: int) -> list[str]:
    """What the rows of a request are called."""
    return [f"row {number}" for number in range(1, count + 1)]


def frame(columns: Mapping[str, Any]) -> DataFrame:
    """A table."""
    import pandas as pd

    return pd.DataFrame(dict(columns))


def class_columns(names: Sequence[str]) -> dict[str, str]:
    """The columns that hold each class's probability."""
    return {f"probability_{name}": DOUBLE for name in names}


def classified(first: Mapping[str, Sequence[Any]], column: str, names: Sequence[str], said: Any) -> DataFrame:
    """A row an example: `first`, its class under `column`, and each class's probability."""
    shares = {
        f"probability_{name}": [row["probabilities"][k] for row in said] for k, name in enumerate(names)
    }
    return frame({**first, column: [names[row["class"]] for row in said], **shares})
