"""Dropout as a product with a mask that was drawn elsewhere.

`torch.nn.functional.dropout` takes no generator and hides its draw inside the
forward pass; here the draw is a value like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor


def draw_mask(shape: Sequence[int], probability: float, generator: torch.Generator) -> Tensor:
    """A mask of `shape`: 0 with `probability`, else 1 / (1 - probability), so that means stay."""
    drawn = torch.rand(tuple(shape), generator=generator, device=generator.device)
    return (drawn >= probability).to(drawn.dtype).mul_(1 / (1 - probability))


def draw_masks(
    shapes: Iterable[Sequence[int]], probability: float, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """A mask of each shape, one after the other."""
    return tuple(draw_mask(shape, probability, generator) for shape in shapes)


def apply_mask(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` with the mask put on; unchanged without one."""
    return values if mask is None else values * mask.to(values.dtype)
