"""DataSpec: what a data set tells a model and a task about itself.

It stands on the ground floor because models and data both speak of it and
neither may import the other.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "classification",
    "regression",
    "tagging",
    "language_modelling",
    "music",
    "seq2seq",
    "forecasting",
)
"""The learning problems: a task is for data of one kind."""


@dataclass(frozen=True)
class DataSpec:
    """Sizes and names that follow from the data and fix a model's shape.

    Exactly one of `input_size` (real-valued steps) and `vocabulary_size`
    (token steps) is set. `output_size` counts classes, target values or, for
    translation-like data, the output vocabulary.
    """

    name: str
    output_size: int
    input_size: int | None = None
    vocabulary_size: int | None = None
    max_length: int | None = None
    """Steps of the longest input sequence, if bounded."""
    target_max_length: int | None = None
    """Steps of the longest target sequence, end marker included, if targets are sequences."""
    per_step: bool = False
    """Whether there is one target a step (tagging, language models) or one a sequence."""
    class_names: tuple[str, ...] = ()
    """Of the classes, or of the output vocabulary's tokens."""
    input_names: tuple[str, ...] = ()
    """Of the input vocabulary's tokens."""
    padding_index: int = 0
    begin_index: int | None = None
    end_index: int | None = None
    kind: str = ""
    """One of `KINDS`; by default what the other fields suggest."""
    character_vocabulary_size: int | None = None
    """If words come with their spelling: inputs are then batch x time x (1 + characters), the word first."""
    class_counts: tuple[int, ...] = ()
    """How often each class occurs in training."""
    target_names: tuple[str, ...] = ()
    """Of target values."""
    target_means: tuple[float, ...] = ()
    """Of target values: what is added, after `target_scales`, to have them in their own units."""
    target_scales: tuple[float, ...] = ()
    """Of target values: what they are multiplied by to have them in their own units."""
    horizon: int | None = None
    """Steps to forecast."""
    target_columns: tuple[int, ...] = ()
    """Where the forecast values stand among an input step's."""
    naive_errors: tuple[float, ...] = ()
    """Mean absolute error in training of the seasonal naive forecast, a number a target value (for MASE)."""
    level: str = "word"
    """What a token is: ``word``, ``character`` or ``subword``; says how tokens become text again."""

    def __post_init__(self) -> None:
        if (self.input_size is None) == (self.vocabulary_size is None):
            raise ValueError("a DataSpec has either input_size or vocabulary_size")
        if not self.kind:
            guess = "seq2seq" if self.begin_index is not None else "tagging" if self.per_step else KINDS[0]
            object.__setattr__(self, "kind", guess)
        if self.kind not in KINDS:
            raise ValueError(f"'{self.kind}' is not one of {', '.join(KINDS)}")
