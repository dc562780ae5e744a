"""The parameters of K models of one architecture as one table, a row a trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


class Table:
    """Parameters and their gradients, each K x N, N being the parameters of one model.

    A model's own parameters become views of its row, so that whatever is done to the table is done to the
    model, and the model can be validated, or saved, at any time.

    Args:
        models: of one architecture, on one device, with parameters of one type.

    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        named = list(models[0].named_parameters())
        self.shapes = {name: value.shape for name, value in named}
        self.values = torch.stack([flat(list(model.parameters())) for model in models])
        self.gradients = torch.zeros_like(self.values)
        self.by_name = {
            name: part.requires_grad_()
            for name, part in zip(self.shapes, self.views(self.values), strict=True)
        }
        """Parameters by name, each K x its shape: what a stacked loss is a function of."""
        self._gradients = self.views(self.gradients)
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

    def differentiate(self, total: Tensor) -> None:
        """Let `gradients` be those of `total`, a scalar; zeros where it does not depend on a parameter."""
        found = torch.autograd.grad(total, list(self.by_name.values()), allow_unused=True)
        for place, gradient in zip(self._gradients, found, strict=True):
            if gradient is None:
                place.zero_()
            else:
                place.copy_(gradient)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of all tensors, one after the other."""
    return torch.cat([part.detach().reshape(-1) for part in tensors])
