"""From a data set's steps to vectors: an embedding for tokens, nothing for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models.layers import last_step, run_layers

if TYPE_CHECKING:
    from seqsweep.spec import DataSpec

SPELLING_SIZE = 64


def input_layer(
    spec: DataSpec,
    embedding_size: int | None,
    default: int,
    spelling_size: int | None = None,
    std: float = 1.0,
) -> tuple[nn.Module, int]:
    """The layer in front of the recurrent ones, and the size of what it hands on.

    Tokens are embedded in `embedding_size` numbers, `default` if that is None, drawn with the
    standard deviation `std`; words that come with their spelling get `spelling_size` more, 64
    if that is None.

    Raises:
        ConfigError: a size is given and the data's steps are not what it is for.

    """
    if spelling_size is not None and spec.character_vocabulary_size is None:
        raise ConfigError(
            f"spelling_size={spelling_size}: expected null: the steps of '{spec.name}' have no spelling"
        )
    if spec.vocabulary_size is None:
        if embedding_size is not None:
            raise ConfigError(
                f"embedding_size={embedding_size}: expected null: the steps of '{spec.name}' are numbers"
            )
        assert spec.input_size is not None
        return nn.Identity(), spec.input_size
    size = default if embedding_size is None else checks.positive_int("embedding_size", embedding_size)
    words = nn.Embedding(spec.vocabulary_size, size, padding_idx=spec.padding_index)
    with torch.no_grad():
        words.weight.mul_(std)
    if spec.character_vocabulary_size is None:
        return words, size
    spelling = Spelling(spec.character_vocabulary_size, spelling_size or SPELLING_SIZE)
    return SpelledWords(words, spelling), size + spelling.size


class Spelling(nn.Module):
    """A word's vector from its characters: a bidirectional LSTM's last outputs (Ling et al. 2015).

    Args:
        characters: of the alphabet, padding (0) included.
        size: of the vector, even; half of it for each direction.

    Raises:
        ConfigError: the size is odd or not positive.

    """

    def __init__(self, characters: int, size: int) -> None:
        super().__init__()
        if checks.positive_int("spelling_size", size) % 2:
            raise ConfigError(f"spelling_size={size}: expected an even number, half for each direction")
        self.size = size
        self.characters = nn.Embedding(characters, size // 2, padding_idx=0)
        self.recurrent = nn.LSTM(size // 2, size // 2, batch_first=True, bidirectional=True)

    def forward(self, characters: Tensor) -> Tensor:
        """Read words, each once however often it occurs.

        Args:
            characters: batch x time x characters, padded with 0.

        Returns:
            batch x time x size.

        """
        words, place = torch.unique(characters.flatten(0, 1), dim=0, return_inverse=True)
        lengths = (words != 0).sum(dim=1).clamp(min=1)
        outputs, _ = run_layers(self.recurrent, self.characters(words), lengths)
        vectors = last_step(outputs, lengths, self.size // 2)  # words x size
        return vectors[place].view(*characters.shape[:2], self.size)


class SpelledWords(nn.Module):
    """A word's own vector beside the one its spelling gives, which rare and new words live on."""

    def __init__(self, words: nn.Embedding, spelling: Spelling) -> None:
        super().__init__()
        self.words = words
        self.spelling = spelling

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Both vectors of each word.

        Args:
            inputs: batch x time x (1 + characters), the word first.
            mask: batch x time x 1, on the words' own vectors alone.

        Returns:
            batch x time x size.

        """
        words = self.words(inputs[..., 0])
        return torch.cat([words if mask is None else words * mask, self.spelling(inputs[..., 1:])], dim=-1)
