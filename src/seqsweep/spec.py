"""DataSpec: what a data set tells a model and a task about itself.

It stands on the ground floor because models and data both speak of it and
neither may import the other.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    padding_index: int = 0
    begin_index: int | None = None
    end_index: int | None = None

    def __post_init__(self) -> None:
        if (self.input_size is None) == (self.vocabulary_size is None):
            raise ValueError("a DataSpec has either input_size or vocabulary_size")
