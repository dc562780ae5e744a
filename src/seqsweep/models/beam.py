"""Beam search: the likeliest sequence, among several that grow side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


class Markers(NamedTuple):
    """The tokens that mean something."""

    begin: int
    end: int
    padding: int


class Beams(NamedTuple):
    """The sequences that are kept, best first."""

    tokens: Tensor
    """size x beams x steps so far; padding after the end marker."""
    scores: Tensor
    """size x beams: log-probabilities."""
    lengths: Tensor
    """size x beams: tokens, end marker included."""
    ended: Tensor
    """size x beams of bool."""


def beam_search(
    step: Callable[[Tensor, Any], tuple[Tensor, Any]],
    reorder: Callable[[Any, Tensor], Any],
    state: Any,
    *,
    rows: Tensor,
    limit: int,
    markers: Markers,
    penalty: float = 0.0,
) -> Tensor:
    """The best sequence of those kept, for each source.

    Kept are those with the greatest log-probability over `length_penalty`. One
    that has ended stays as it is and keeps its place until better ones push it
    out. With one beam this is greedy search.

    Args:
        step: from the last tokens (size * beams) and the state to log-probabilities of the next
            (size * beams x vocabulary) and the state after them.
        reorder: from a state and an index (size * beams) to the state with the rows so named.
        state: before the first token, of size * beams rows, those of a source side by side.
        rows: size x beams, the numbers of those rows.
        limit: tokens after which to stop anyway.
        markers: the tokens that mean something.
        penalty: power of the length penalty; 0 compares log-probabilities, more favours longer sequences.

    Returns:
        size x steps of tokens: the end marker is included, what follows it is padding.

    """
    beams, last = _first(rows), torch.full_like(rows, markers.begin)
    for _ in range(limit):
        logs, state = step(last.flatten(), state)  # size * beams x vocabulary
        beams, parents = _grown(beams, logs.view(*rows.shape, -1), markers, penalty)
        if bool(beams.ended.all()):
            break
        state, last = reorder(state, rows.gather(1, parents).flatten()), beams.tokens[..., -1]
    return beams.tokens[:, 0, : int(beams.lengths[:, 0].max())]


def length_penalty(lengths: Tensor, power: float) -> Tensor:
    """((5 + length) / 6) ** power, which a log-probability is divided by (Wu et al. 2016, eq. 14)."""
    return ((5 + lengths) / 6) ** power


def _first(rows: Tensor) -> Beams:
    """Nothing yet, and for each source one beam to start from."""
    scores = torch.full(rows.shape, float("-inf"), device=rows.device)
    scores[:, 0] = 0
    none = torch.zeros_like(rows)
    return Beams(rows.new_empty(*rows.shape, 0), scores, none, none.bool())


def _grown(beams: Beams, logs: Tensor, markers: Markers, penalty: float) -> tuple[Beams, Tensor]:
    """The best of all beams with one token more, and which beam each has come from (size x beams).

    Args:
        beams: before the step.
        logs: size x beams x vocabulary, log-probabilities of the next token.
        markers: see `beam_search`.
        penalty: see `beam_search`.

    """
    vocabulary = logs.shape[-1]
    nothing = torch.full_like(logs[0, 0], float("-inf"))
    nothing[markers.padding] = 0  # all that can follow an end, at no cost
    totals = beams.scores.unsqueeze(-1) + torch.where(beams.ended.unsqueeze(-1), nothing, logs)
    lengths = beams.lengths + ~beams.ended  # size x beams
    ranked = totals / length_penalty(lengths, penalty).unsqueeze(-1)
    chosen = ranked.flatten(1).topk(beams.scores.shape[1]).indices  # size x beams
    parents, tokens = chosen // vocabulary, chosen % vocabulary
    before = beams.tokens.gather(1, parents.unsqueeze(-1).expand_as(beams.tokens))
    return Beams(
        torch.cat([before, tokens.unsqueeze(-1)], dim=-1),
        totals.flatten(1).gather(1, chosen),
        lengths.gather(1, parents),
        beams.ended.gather(1, parents) | (tokens == markers.end),
    ), parents
