"""Attention: where a decoder looks, given what it holds and what the encoder left.

Each form scores every encoder step for every decoder step; the weights are the
scores' softmax over the true encoder steps. Nothing is kept between calls: keys
are projected by the caller, once, and handed in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Attention(nn.Module, ABC):
    """Base: a subclass says how keys are made and how they are scored.

    Args:
        query_size: numbers in a decoder state.
        memory_size: numbers in an encoder output.
        size: numbers in the space where the two are added, for forms that have one.

    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.context_size = memory_size
        """Numbers in a context."""

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """What scoring needs of the encoder's outputs, made once a sequence.

        Args:
            memory: batch x source time x memory size.

        """

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Unnormalised weights, batch x target time x source time.

        Args:
            queries: batch x target time x query size.
            keys: from `keys`.

        """

    def forward(
        self, queries: Tensor, keys: Tensor, memory: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The mean of `memory`, weighted for each query.

        Args:
            queries: batch x target time x query size.
            keys: from `keys`.
            memory: batch x source time x memory size.
            mask: batch x source time, True at true steps; None if nothing is padded.

        Returns:
            contexts: batch x target time x memory size.
            weights: batch x target time x source time, each row with sum 1 over the true steps.

        """
        scores = self.scores(queries, keys)  # batch x target time x source time
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(1), float("-inf"))
        weights = scores.softmax(dim=-1)
        return weights @ memory, weights


class AdditiveAttention(Attention):
    """score(q, k) = v . tanh(W q + U k)   (Bahdanau, Cho & Bengio 2015, appendix A.1.2)."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """U k: batch x source time x size."""
        keys: Tensor = self.key(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Batch x target time x source time."""
        summed = self.query(queries).unsqueeze(2) + keys.unsqueeze(1)  # batch x target x source x size
        scores: Tensor = self.score(torch.tanh(summed)).squeeze(-1)
        return scores


class ConcatAttention(AdditiveAttention):
    """score(q, k) = v . tanh(W [q; k])   (Luong, Pham & Manning 2015, eq. 8).

    W [q; k] is the sum of what W's two halves make of q and of k, so this is the
    additive form without its bias.
    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.key = nn.Linear(memory_size, size, bias=False)


class GeneralAttention(Attention):
    """score(q, k) = q . W k   (Luong, Pham & Manning 2015, eq. 8)."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """W k: batch x source time x query size."""
        keys: Tensor = self.key(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Batch x target time x source time."""
        return queries @ keys.transpose(1, 2)


class DotAttention(Attention):
    """score(q, k) = q . k   (Luong, Pham & Manning 2015, eq. 8), for states and outputs of one size."""

    def keys(self, memory: Tensor) -> Tensor:
        """The memory itself."""
        return memory

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Batch x target time x source time."""
        return queries @ keys.transpose(1, 2)


class NoAttention(Attention):
    """Contexts of no numbers: of the source there is the first state alone (Sutskever et al. 2014)."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.context_size = 0

    def keys(self, memory: Tensor) -> Tensor:
        """Batch x source time x 0."""
        return memory[..., :0]

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Batch x target time x 0."""
        return queries[..., :0]

    def forward(
        self, queries: Tensor, keys: Tensor, memory: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Nothing, twice: batch x target time x 0."""
        return queries[..., :0], queries[..., :0]


ATTENTIONS: dict[str, type[Attention]] = {
    "none": NoAttention,
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
    "concat": ConcatAttention,
}
"""The forms a model can be asked for by name; each is built as ``form(query_size, memory_size, size)``."""
