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
    """Base: a subclass says how keys are made and how they are scored."""

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
    """score(q, k) = v . tanh(W q + U k)   (Bahdanau, Cho & Bengio 2015, appendix A.1.2).

    Args:
        query_size: numbers in a decoder state.
        memory_size: numbers in an encoder output.
        size: numbers in the space where the two are added.

    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
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


ATTENTIONS: dict[str, type[AdditiveAttention]] = {"additive": AdditiveAttention}
"""The forms a model can be asked for by name; each is built as ``form(query_size, memory_size, size)``."""
