"""The parameters of K models of one architecture as one table, a row a trial."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    Named = dict[str, Tensor]
    Part = tuple[slice | list[int], list[int], Named, Named]
    """Where in the table, that as numbers, parameters, and where their gradients go."""


class Table:
    """Parameters and their gradients, each K x N, N being the parameters of one model.

    A model's own parameters become views of its row, so that whatever is done to the table is done to the
    model, and the model can be validated, or saved, at any time.

    Args:
        models: of one architecture, on one device, with parameters of one type.
        block: rows that are differentiated together, at most.

    """

    def __init__(self, models: Sequence[nn.Module], block: int) -> None:
        named = list(models[0].named_parameters())
        self.shapes = {name: value.shape for name, value in named}
        self.values = torch.stack([flat(list(model.parameters())) for model in models])
        self.gradients = torch.zeros_like(self.values)
        self._count = math.ceil(len(models) / block)
        self.blocks = self._cut(range(len(models)))
        places = [slice(rows[0], rows[-1] + 1) for rows in self.blocks]
        self._parts = [
            (place, rows, self._leaves(self.values[place]), self._named(self.gradients[place]))
            for place, rows in zip(places, self.blocks, strict=True)
        ]
        for row, model in zip(self.values, models, strict=True):
            for parameter, part in zip(model.parameters(), self.parts(row), strict=True):
                parameter.data = part

    def views(self, table: Tensor) -> list[Tensor]:
        """A table like this one's, K x N, as a tensor a parameter, K x its shape."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        cut = torch.split(table.detach(), sizes, dim=1)
        return [part.view(len(part), *shape) for part, shape in zip(cut, self.shapes.values(), strict=True)]

    def parts(self, row: Tensor) -> list[Tensor]:
        """A row like this table's, (N,), as a tensor a parameter: views."""
        return [part[0] for part in self.views(row.unsqueeze(0))]

    def differentiate(
        self, losses: Callable[[Sequence[int], dict[str, Tensor]], Tensor], lengths: Sequence[int] = ()
    ) -> Tensor:
        """Let `gradients` be those of each row's own loss; zeros where it does not depend on a parameter.

        Args:
            losses: given rows of the table, and parameters by name, each (rows) x its shape: their losses.
            lengths: of each row's batch; those of like lengths are differentiated together.

        Returns:
            (K,) losses.

        """
        found = self.values.new_empty(len(self.values))
        alike = self._count == 1 or len(set(lengths)) < 2
        for place, rows, leaves, slots in self._parts if alike else self._gathered(lengths):
            own = losses(rows, leaves)
            gradients = torch.autograd.grad(own.sum(), list(leaves.values()), allow_unused=True)
            for slot, gradient in zip(slots.values(), gradients, strict=True):
                if gradient is None:
                    slot.zero_()
                else:
                    slot.copy_(gradient)
            found[place] = own.detach()
        return found

    def _gathered(self, lengths: Sequence[int]) -> Iterator[Part]:
        """Blocks of rows of like lengths, copied: else a third of what they compute may be padding."""
        for rows in self._cut(sorted(range(len(lengths)), key=lengths.__getitem__)):
            values = self.values[rows]
            gradients = torch.empty_like(values)
            yield rows, rows, self._leaves(values), self._named(gradients)
            self.gradients[rows] = gradients

    def _cut(self, rows: Sequence[int]) -> list[list[int]]:
        """Blocks of as many rows as another, or of one more."""
        ends = [len(rows) * number // self._count for number in range(self._count + 1)]
        return [list(rows[start:end]) for start, end in pairwise(ends)]

    def _leaves(self, table: Tensor) -> Named:
        return {name: part.requires_grad_() for name, part in self._named(table).items()}

    def _named(self, table: Tensor) -> Named:
        return dict(zip(self.shapes, self.views(table), strict=True))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of all tensors, one after the other."""
    return torch.cat([part.detach().reshape(-1) for part in tensors])
