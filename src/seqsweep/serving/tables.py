"""Tables in: sequences in long form, or a series in time. They are read as files of their kind are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from seqsweep.data import CMapss, CsvClassification, CsvForecasting, CsvRegression
from seqsweep.data.cmapss import FEATURES
from seqsweep.data.csv_forecasting import following
from seqsweep.serving import form
from seqsweep.serving.description import Columns
from seqsweep.serving.form import ANY, DOUBLE, STRING, Form, as_file

if TYPE_CHECKING:
    from pandas import DataFrame

    from seqsweep.data.batch import Examples
    from seqsweep.data.cmapss import Engines
    from seqsweep.data.csv_sequences import Sequences
    from seqsweep.data.series import Series

SHOWN_STEPS = 100
"""Rows of an example at most, where a sequence may have any length."""


class _SequencesForm(Form[Any]):
    """A row a step, with the id of its sequence: a row a sequence."""

    data: CsvClassification | CsvRegression

    @property
    def inputs(self) -> Columns:
        """Id, time, and the features; an id may be a text or a number, a time a number or a date."""
        data = self.data
        return {data.id: ANY, **({data.time: ANY} if data.time else {}), **self._features()}

    def _features(self) -> dict[str, str]:
        return dict.fromkeys(self.data.fitted["features"], DOUBLE)

    def examples(self, given: DataFrame) -> tuple[Sequences, Examples]:
        """The sequences, as a file's."""
        data = self.data
        with as_file("request.csv") as path:
            table = given[list(self.inputs)]
            table.to_csv(path, sep=data.separator, encoding=data.encoding, index=False)
            records = data.read(path, labelled=False)
            return records, data.unknown(records)

    def example(self, source: Any) -> DataFrame:
        """The first steps of the first sequence."""
        records: Sequences = source.sample(1)
        known = records.file.read(texts=[source.id]).data.to_pandas()
        own = known[known[source.id].astype(str).str.strip() == str(records.names[0])].head(SHOWN_STEPS)
        found = own[list(self.inputs)].astype(self._features())
        dates = [name for name in (source.time,) if name and found[name].dtype.kind not in "iuf"]
        written: DataFrame = found.astype(dict.fromkeys((source.id, *dates), str))
        return written


class ClassesForm(_SequencesForm):
    """The class of each sequence, and each class's probability."""

    @property
    def outputs(self) -> Columns:
        """Id, class, probabilities."""
        data, [target] = self.data, self.data.targets
        return {data.id: STRING, target: STRING, **form.class_columns(data.fitted["classes"])}

    def answer(self, records: Sequences, predictions: Sequence[Any]) -> DataFrame:
        """A row a sequence."""
        first, [target] = {self.data.id: records.names.tolist()}, self.data.targets
        return form.classified(first, target, self.data.fitted["classes"], predictions)


class NumbersForm(_SequencesForm):
    """The numbers of each sequence."""

    @property
    def outputs(self) -> Columns:
        """Id and targets."""
        return {self.data.id: STRING, **dict.fromkeys(self.data.targets, DOUBLE)}

    def answer(self, records: Sequences, predictions: Sequence[Any]) -> DataFrame:
        """A row a sequence."""
        columns = dict(zip(self.data.targets, zip(*predictions, strict=True), strict=True))
        return form.frame({self.data.id: records.names.tolist(), **columns})


class ForecastForm(Form[CsvForecasting]):
    """A series, of which the last `context` rows count: the rows that follow it."""

    @property
    def inputs(self) -> Columns:
        """The date and the features."""
        fitted = self.data.fitted
        return {fitted["date"]: ANY, **dict.fromkeys(fitted["features"], DOUBLE)}

    @property
    def outputs(self) -> Columns:
        """The date and the targets."""
        fitted = self.data.fitted
        return {fitted["date"]: STRING, **dict.fromkeys(fitted["targets"], DOUBLE)}

    def examples(self, given: DataFrame) -> tuple[Series, Examples]:
        """The series, as a file's."""
        data = self.data
        with as_file("request.csv") as path:
            table = given[list(self.inputs)]
            table.to_csv(
                path,
                sep=data.separator,
                encoding=data.encoding,
                index=False,
                date_format=data.date_format,  # of what is no text but a time
            )
            series = data.read(path, labelled=False)
            return series, data.unknown(series)

    def answer(self, records: Series, predictions: Sequence[Any]) -> DataFrame:
        """A row a step of the horizon."""
        [steps], targets = predictions, self.data.fitted["targets"]
        columns = dict(zip(targets, zip(*steps, strict=True), strict=True))
        return form.frame({records.date: following(records, self.data.horizon), **columns})

    def example(self, source: CsvForecasting) -> DataFrame:
        """As many steps as a forecast takes, up to the end of the first window's context."""
        import pandas as pd

        series = source.sample(source.context)
        begin = max(0, series.end - source.context)
        times = pd.DatetimeIndex(series.times[begin : series.end])
        dates = [str(when) for when in times]
        if series.date_format is not None:
            dates = [when.strftime(series.date_format.replace("%z", "Z")) for when in times]
        features = self.data.fitted["features"]
        values = series.values[begin : series.end]
        columns = {name: values[:, series.columns.index(name)] for name in features}
        return form.frame({series.date: dates, **columns})


class EngineForm(Form[CMapss]):
    """A row a cycle of an engine: for each engine the cycles still to come."""

    asked: ClassVar[Columns] = dict.fromkeys(("engine", "cycle", *FEATURES), DOUBLE)
    answers: ClassVar[Columns] = dict.fromkeys(("engine", "cycle", "remaining"), DOUBLE)

    def examples(self, given: DataFrame) -> tuple[Engines, Examples]:
        """The engines, as a file's."""
        with as_file("request.txt") as path:
            given[list(self.asked)].to_csv(path, sep=" ", header=False, index=False, na_rep="nan")
            records = self.data.read(path, labelled=False)
            return records, self.data.unknown(records)

    def answer(self, records: Engines, predictions: Sequence[Any]) -> DataFrame:
        """A row an engine, with its last cycle."""
        last = records.cycles[records.starts + records.lengths - 1]
        remaining = [number for [number] in predictions]
        return form.frame({"engine": records.units, "cycle": last, "remaining": remaining})

    def example(self, source: CMapss) -> DataFrame:
        """The first cycles of the first engine."""
        engines = source.sample(1)
        rows = slice(engines.starts[0], engines.starts[0] + min(engines.lengths[0], source.window))
        columns = dict(zip(FEATURES, engines.values[rows].T, strict=True))
        return form.frame({"engine": float(engines.units[0]), "cycle": engines.cycles[rows], **columns})
