"""Which form each kind of data has."""

from __future__ import annotations

from typing import Any

from seqsweep import data as kinds
from seqsweep.errors import ConfigError
from seqsweep.serving import arrays, tables, texts
from seqsweep.serving.form import Form

FORMS: dict[type[kinds.SequenceData], type[Form[Any]]] = {
    kinds.TextClassification: texts.TextForm,
    kinds.Tagging: texts.TagForm,
    kinds.Translation: texts.TranslationForm,
    kinds.Scan: texts.ScanForm,
    kinds.LanguageModelling: texts.PromptForm,
    kinds.CsvClassification: tables.ClassesForm,
    kinds.CsvRegression: tables.NumbersForm,
    kinds.CsvForecasting: tables.ForecastForm,
    kinds.CMapss: tables.EngineForm,
    kinds.Digits: arrays.DigitForm,
    kinds.MnistRows: arrays.MnistForm,
    kinds.TsClassification: arrays.SeriesForm,
    kinds.PianoRoll: arrays.PieceForm,
    kinds.AudioClassification: arrays.RecordingForm,
}


class NoFormError(ConfigError):
    """There is nothing that runs of this data could be asked over MLflow."""


def form_for(data: object) -> Form[Any]:
    """The form of a data module's kind. Raises NoFormError for a kind without one."""
    for kind, form in FORMS.items():
        if isinstance(data, kind):
            return form(data)
    raise NoFormError(
        f"data of kind {type(data).__name__} has no form in which an MLflow model could be asked; "
        "`seqsweep evaluate RUN` tests such a run"
    )
