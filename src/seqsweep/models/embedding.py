"""From a data set's steps to vectors: an embedding for tokens, nothing for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from seqsweep import checks
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from seqsweep.spec import DataSpec


def input_layer(spec: DataSpec, embedding_size: int | None, default: int) -> tuple[nn.Module, int]:
    """The layer in front of the recurrent ones, and the size of what it hands on.

    Tokens are embedded in `embedding_size` numbers, `default` if that is None.

    Raises:
        ConfigError: `embedding_size` is given but the data's steps are numbers.

    """
    if spec.vocabulary_size is None:
        if embedding_size is not None:
            raise ConfigError(
                f"embedding_size={embedding_size}: expected null: the steps of '{spec.name}' are numbers"
            )
        assert spec.input_size is not None
        return nn.Identity(), spec.input_size
    size = default if embedding_size is None else checks.positive_int("embedding_size", embedding_size)
    return nn.Embedding(spec.vocabulary_size, size, padding_idx=spec.padding_index), size
