"""The parameters of K models of one architecture as one table, a row a trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn


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
        self.blocks = [slice(start, start + block) for start in range(0, len(models), block)]
        self._leaves = [self._named(self.values[rows]) for rows in self.blocks]
        self._gradients = [self._named(self.gradients[rows]) for rows in self.blocks]
        for leaves in self._leaves:
            for leaf in leaves.values():
                leaf.requires_grad_()
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

    def differentiate(self, losses: Callable[[slice, dict[str, Tensor]], Tensor]) -> Tensor:
        """Let `gradients` be those of each row's own loss; zeros where it does not depend on a parameter.

        Args:
            losses: given rows of the table, and parameters by name, each (rows) x its shape: their losses.

        Returns:
            (K,) losses.

        """
        found = []
        for rows, leaves, places in zip(self.blocks, self._leaves, self._gradients, strict=True):
            own = losses(rows, leaves)
            gradients = torch.autograd.grad(own.sum(), list(leaves.values()), allow_unused=True)
            for place, gradient in zip(places.values(), gradients, strict=True):
                if gradient is None:
                    place.zero_()
                else:
                    place.copy_(gradient)
            found.append(own.detach())
        return torch.cat(found)

    def _named(self, table: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.shapes, self.views(table), strict=True))


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of all tensors, one after the other."""
    return torch.cat([part.detach().reshape(-1) for part in tensors])
