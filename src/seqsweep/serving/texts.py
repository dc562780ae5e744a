"""Texts in; labels, tags, or texts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from seqsweep.data import LanguageModelling, Scan, Tagging, TextClassification, Translation
from seqsweep.data.batch import Examples
from seqsweep.data.conll import Sentence
from seqsweep.data.records import Rows
from seqsweep.data.scan import ACTION_WORDS, COMMAND_WORDS
from seqsweep.errors import DataError
from seqsweep.models.generation import Sampling
from seqsweep.serving import form
from seqsweep.serving.description import Columns, Parameter
from seqsweep.serving.form import DOUBLE, REQUEST, STRING, STRINGS, Form

if TYPE_CHECKING:
    from pandas import DataFrame

    from seqsweep.tasks import Task

SHOWN = 2
"""Rows of an example."""
PROMPT = 40
"""Characters of a prompt that is taken from a text."""


class TextForm(Form[TextClassification]):
    """A text a row: its label and each label's probability."""

    asked: ClassVar[Columns] = {"text": STRING}

    @property
    def outputs(self) -> Columns:
        """The label, and the probabilities."""
        return {"label": STRING, **form.class_columns(self.data.fitted["classes"])}

    def examples(self, given: DataFrame) -> tuple[Rows, Examples]:
        """The texts as tokens."""
        found = form.texts(given, "text")
        records = Rows(REQUEST, found, form.rows(len(found)))
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a text."""
        return form.classified({}, "label", self.data.fitted["classes"], predictions)

    def example(self, source: TextClassification) -> DataFrame:
        """The first texts."""
        return form.frame({"text": source.sample(SHOWN).items})


class TagForm(Form[Tagging]):
    """A sentence a row, as the list of its words: a tag for each of them."""

    asked: ClassVar[Columns] = {"tokens": STRINGS}
    answers: ClassVar[Columns] = {"tags": STRINGS}

    def examples(self, given: DataFrame) -> tuple[Rows, Examples]:
        """The sentences' words."""
        sentences = [Sentence(_words(row, words), None, ()) for row, words in enumerate(given["tokens"], 1)]
        records = Rows(REQUEST, sentences, form.rows(len(sentences)))
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a sentence; words beyond those that are read (data.too_long=cut) have no tag."""
        names = self.data.fitted["classes"]
        return form.frame({"tags": [[names[tag] for tag in tags] for tags in predictions]})

    def example(self, source: Tagging) -> DataFrame:
        """The first sentences."""
        return form.frame({"tokens": [list(sentence.words) for sentence in source.sample(SHOWN).items]})


class TranslationForm(Form[Translation]):
    """A source text a row: its translation."""

    asked: ClassVar[Columns] = {"source": STRING}
    answers: ClassVar[Columns] = {"target": STRING}

    def examples(self, given: DataFrame) -> tuple[Rows, Examples]:
        """The source texts as tokens."""
        found = form.texts(given, "source")
        _refuse_empty(found, "nothing to translate")
        records = Rows(REQUEST, [(text, "") for text in found], form.rows(len(found)))
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a text."""
        return form.frame({"target": self.data.texts(predictions)})

    def example(self, source: Translation) -> DataFrame:
        """The first source texts."""
        return form.frame({"source": [text for text, _ in source.sample(SHOWN).items]})


class ScanForm(Form[Scan]):
    """A command a row: the actions that it asks for."""

    asked: ClassVar[Columns] = {"source": STRING}
    answers: ClassVar[Columns] = {"target": STRING}

    def examples(self, given: DataFrame) -> tuple[list[list[str]], Examples]:
        """The commands as words, all of which SCAN must have."""
        found = form.texts(given, "source")
        _refuse_empty(found, "no command")
        commands = [text.split() for text in found]
        for row, words in enumerate(commands, start=1):
            if unknown := [word for word in words if word not in COMMAND_WORDS]:
                known = ", ".join(COMMAND_WORDS.tokens[1:])
                raise DataError(f"{REQUEST}, row {row}: '{unknown[0]}' is no word of SCAN's, only {known}")
        inputs, lengths = map(torch.from_numpy, COMMAND_WORDS.encode_padded(commands))
        return commands, Examples(inputs, torch.ones_like(inputs), lengths, lengths)

    def answer(self, records: list[list[str]], predictions: Sequence[Any]) -> DataFrame:
        """A row a command."""
        return form.frame({"target": [" ".join(ACTION_WORDS.decode(actions)) for actions in predictions]})

    def example(self, source: Scan) -> DataFrame:
        """The first commands."""
        batch = source.splits.val.between(0, SHOWN).cut(torch.arange(SHOWN))
        return form.frame({"source": [" ".join(COMMAND_WORDS.decode(row.tolist())) for row in batch.inputs]})


class PromptForm(Form[LanguageModelling]):
    """The beginning of a text a row: how it goes on."""

    asked: ClassVar[Columns] = {"prompt": STRING}
    answers: ClassVar[Columns] = {"continuation": STRING}

    def parameters(self, task: Mapping[str, Any]) -> dict[str, Parameter]:
        """How the tokens are drawn, and how many: the task's own arguments."""
        return {
            "temperature": Parameter(DOUBLE, float(task.get("temperature", 1.0))),
            "top_k": Parameter("long", task.get("top_k")),
            "top_p": Parameter(DOUBLE, float(task.get("top_p", 1.0))),
            "generated_length": Parameter("long", task.get("generated_length", 100)),
        }

    def set(self, task: Task, parameters: Mapping[str, Any]) -> None:
        """Give the task other arguments."""
        from seqsweep import checks

        own: Any = task
        length = int(parameters["generated_length"])
        own.generated_length = checks.positive_int("generated_length", length)
        top_k = parameters["top_k"]
        own.sampling = Sampling(
            float(parameters["temperature"]),
            None if top_k is None else int(top_k),
            float(parameters["top_p"]),
        )

    def examples(self, given: DataFrame) -> tuple[Rows, Examples]:
        """The prompts as tokens."""
        found = form.texts(given, "prompt")
        records = Rows(REQUEST, found, form.rows(len(found)))
        return records, self.data.unknown(records)

    def answer(self, records: Rows, predictions: Sequence[Any]) -> DataFrame:
        """A row a prompt."""
        return form.frame({"continuation": self.data.continuations(predictions)})

    def example(self, source: LanguageModelling) -> DataFrame:
        """The beginning of the first line that is not blank."""
        passage: Any = source.sample(10 * PROMPT)
        lines = passage.pieces.splitlines() if isinstance(passage.pieces, str) else passage.pieces
        line = next((line.strip() for line in lines if line.strip()), "")
        beginning = line[:PROMPT].rpartition(" ")[0] if len(line) > PROMPT and " " in line[:PROMPT] else line
        return form.frame({"prompt": [beginning[:PROMPT]]})


def _words(row: int, words: Any) -> list[str]:
    listed = list(words) if isinstance(words, list | tuple | np.ndarray) else []
    if not listed or not all(isinstance(word, str) and word.strip() for word in listed):
        raise DataError(f"{REQUEST}, row {row}: 'tokens' is {words!r}, expected a list of words, none empty")
    return listed


def _refuse_empty(found: Sequence[str], what: str) -> None:
    for row, text in enumerate(found, start=1):
        if not text.strip():
            raise DataError(f"{REQUEST}, row {row}: {what}")
