"""Generation: what a language model says after a prompt, one token after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqsweep import checks
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqsweep.models.recurrent import RecurrentModel


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn from what the model gives for each.

    The three take effect in this order.

    Raises:
        ConfigError: one of them is out of its range.

    """

    temperature: float = 1.0
    """What logits are divided by: below 1 likely tokens become likelier; at 0 the likeliest is taken."""
    top_k: int | None = None
    """Only so many of the likeliest are drawn from (Fan et al. 2018); None for all."""
    top_p: float = 1.0
    """Only the likeliest are drawn from that together have this probability, or hardly more (the nucleus,
    Holtzman et al. 2020)."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.non_negative_float("temperature", self.temperature)
        if self.top_k is not None:
            checks.positive_int("top_k", self.top_k)
        if checks.positive_float("top_p", self.top_p) > 1:
            raise ConfigError(f"top_p={self.top_p}: expected a number above 0 and up to 1")

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """A token for each row of `logits` (batch x vocabulary): (batch,)."""
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        return torch.multinomial(self.probabilities(logits), 1, generator=generator).squeeze(1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """What tokens are drawn with, batch x vocabulary; `temperature` is above 0."""
        ranked, tokens = (logits / self.temperature).sort(dim=-1, descending=True, stable=True)
        kept = ranked.softmax(dim=-1)
        if self.top_k is not None:
            kept[:, self.top_k :] = 0
            kept /= kept.sum(dim=-1, keepdim=True)
        if self.top_p < 1:
            before = kept.cumsum(dim=-1) - kept  # of the tokens that are likelier
            kept = kept.masked_fill(before >= self.top_p, 0)
        return torch.zeros_like(kept).scatter_(1, tokens, kept / kept.sum(dim=-1, keepdim=True))


@torch.no_grad()
def continued(
    model: RecurrentModel,
    prompts: Tensor,
    lengths: Tensor | None,
    *,
    length: int,
    sampling: Sampling,
    generator: torch.Generator,
    never: Sequence[int] = (),
) -> Tensor:
    """How each prompt goes on.

    Args:
        model: with an output for each step, not bidirectional.
        prompts: batch x time of tokens.
        lengths: batch, each at least 1; None if no prompt is padded.
        length: tokens to add to each.
        sampling: how they are drawn.
        generator: what they are drawn with.
        never: tokens that are not drawn, whatever the model gives for them.

    Returns:
        batch x length of tokens.

    """
    logits, state = model(prompts, lengths, state=model.start(len(prompts)))
    last = _last(logits, lengths)
    steps = []
    for _ in range(length):
        last[:, list(never)] = float("-inf")
        tokens = sampling.draw(last, generator)
        steps.append(tokens)
        logits, state = _step(model, tokens, state)
        last = logits[:, 0]
    return torch.stack(steps, dim=1)


def _step(model: RecurrentModel, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Logits after one token each (batch x 1 x vocabulary), and the state."""
    logits, state = model(tokens.unsqueeze(1), state=state)
    return logits, state


def _last(logits: Tensor, lengths: Tensor | None) -> Tensor:
    """The logits after each prompt's last true step: batch x vocabulary."""
    if lengths is None:
        return logits[:, -1].clone()
    return logits[torch.arange(len(logits), device=logits.device), lengths - 1]
