"""PyTorch's optimisers over a table of parameters, a row a trial, each row with settings of its own.

Formulas and the order of operations are those of `torch.optim` (2.13), whose state these write and read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from seqsweep.stacking.parameters import Table


class RowOptimizer(ABC):
    """Steps all rows of a table at once.

    Each member has its own `torch.optim.Optimizer`, which never steps: its one group says how its
    row is stepped, so that schedules work on it as ever, and its state dict is the row's.

    Args:
        table: the parameters; rows in the order of `members`.
        members: the members' own optimisers, all of one class; state that they hold is taken over.

    """

    kept: ClassVar[tuple[str, ...]]
    """Names of the state that there is for each number, as ``torch.optim`` has them."""

    def __init__(self, table: Table, members: Sequence[Optimizer]) -> None:
        self.table = table
        self.groups = [optimizer.param_groups[0] for optimizer in members]
        self.members = members
        self.state = {name: torch.zeros_like(table.values) for name in self.kept}
        self.steps = torch.zeros(len(members), 1, device=table.values.device)
        self._columns: dict[str, tuple[list[float], Tensor]] = {}
        self._scratch = torch.empty_like(table.values)
        for row, optimizer in enumerate(members):
            self._take(row, optimizer)
            self._give(row, optimizer)

    @abstractmethod
    def step(self) -> None:
        """Step every row by its gradient."""

    def number(self, name: str) -> Tensor:
        """The members' setting `name`, K x 1."""
        return self._column(name, [float(group[name]) for group in self.groups])

    def numbers(self, name: str, place: int) -> Tensor:
        """One of the numbers of the members' setting `name`, K x 1."""
        return self._column(f"{name}.{place}", [float(group[name][place]) for group in self.groups])

    def any(self, name: str) -> bool:
        """Whether the setting is on, or not zero, for one member at least."""
        return any(group[name] for group in self.groups)

    def _column(self, name: str, values: list[float]) -> Tensor:
        known = self._columns.get(name)
        if known is None or known[0] != values:
            table = self.table.values
            column = torch.tensor(values, dtype=torch.float64).unsqueeze(1).to(table.device)
            known = self._columns[name] = (values, column)
        return known[1]

    def _rounded(self, column: Tensor) -> Tensor:
        """The column in the table's type; it is computed in float64, as Python's floats are."""
        return column.to(self.table.values.dtype)

    def _decayed(self) -> Tensor:
        """Gradients with weight decay added."""
        if not self.any("weight_decay"):
            return self.table.gradients
        return self.table.gradients.addcmul_(self.table.values, self._rounded(self.number("weight_decay")))

    def _take(self, row: int, optimizer: Optimizer) -> None:
        """What a member's optimiser has from a checkpoint."""
        for index, parameter in enumerate(self.groups[row]["params"]):
            state = optimizer.state.get(parameter, {})
            for name, table in self.state.items():
                if state.get(name) is not None:
                    self.table.parts(table[row])[index].copy_(state[name])
            self.steps[row] = float(state.get("step", self._steps_of(state)))

    def _steps_of(self, state: dict[str, Any]) -> int:
        """Steps of a state that does not count them: none, or some."""
        return 1 if any(state.get(name) is not None for name in self.kept) else 0

    def _give(self, row: int, optimizer: Optimizer) -> None:
        """Let the member's optimiser have its row as its state."""
        parts = {name: self.table.parts(table[row]) for name, table in self.state.items()}
        for index, parameter in enumerate(self.groups[row]["params"]):
            optimizer.state[parameter] = {name: views[index] for name, views in parts.items()}
            if self.counts:
                optimizer.state[parameter]["step"] = self.steps[row, 0]  # a view, so that it goes on counting

    counts: ClassVar[bool] = True
    """Whether ``torch.optim`` keeps the number of steps."""


class SGD(RowOptimizer):
    """`torch.optim.SGD`, with momentum, dampening and Nesterov's form."""

    kept = ("momentum_buffer",)
    counts = False

    def step(self) -> None:
        """Step every row by its gradient."""
        gradients = self._decayed()
        if self.any("momentum"):
            gradients = self._with_momentum(gradients)
        self.table.values.addcmul_(gradients, self._rounded(-self.number("lr")))
        self.steps += 1

    def _with_momentum(self, gradients: Tensor) -> Tensor:
        buffer, momentum = self.state["momentum_buffer"], self.number("momentum")
        # the first gradient is the buffer, dampened or not
        share = torch.where(self.steps == 0, 1.0, 1 - self.number("dampening"))
        buffer.mul_(self._rounded(momentum)).addcmul_(gradients, self._rounded(share))
        nesterov = torch.tensor([[bool(group["nesterov"])] for group in self.groups], device=buffer.device)
        ahead = torch.addcmul(gradients, buffer, self._rounded(momentum), out=self._scratch)
        found = torch.where(nesterov, ahead, buffer)
        return torch.where(momentum == 0, gradients, found)


class Adam(RowOptimizer):
    """`torch.optim.Adam`."""

    kept = ("exp_avg", "exp_avg_sq")

    def step(self) -> None:
        """Step every row by its gradient."""
        gradients = self.decay()
        self.steps += 1
        mean, square, scratch = self.state["exp_avg"], self.state["exp_avg_sq"], self._scratch
        first, second = self.numbers("betas", 0), self.numbers("betas", 1)
        mean.lerp_(gradients, self._rounded(1 - first))
        square.mul_(self._rounded(second))
        square.add_(torch.mul(gradients, gradients, out=scratch).mul_(self._rounded(1 - second)))
        unbiased = self._rounded((1 - second ** self.steps.double()).sqrt())
        torch.sqrt(square, out=scratch).div_(unbiased).add_(self._rounded(self.number("eps")))
        torch.div(mean, scratch, out=scratch)
        rate = self.number("lr") / (1 - first ** self.steps.double())
        self.table.values.addcmul_(scratch, self._rounded(-rate))

    def decay(self) -> Tensor:
        """The gradients to step by; weight decay is part of them."""
        return self._decayed()


class AdamW(Adam):
    """`torch.optim.AdamW`: weight decay acts on the parameters themselves (Loshchilov & Hutter 2019)."""

    def decay(self) -> Tensor:
        """The gradients as they are, the parameters having decayed."""
        if self.any("weight_decay"):
            self.table.values.mul_(self._rounded(1 - self.number("lr") * self.number("weight_decay")))
        return self.table.gradients


class RMSprop(RowOptimizer):
    """`torch.optim.RMSprop`, with momentum, not centred."""

    kept = ("square_avg", "momentum_buffer")

    def step(self) -> None:
        """Step every row by its gradient."""
        gradients = self._decayed()
        self.steps += 1
        square, scratch, alpha = self.state["square_avg"], self._scratch, self.number("alpha")
        square.mul_(self._rounded(alpha))
        square.add_(torch.mul(gradients, gradients, out=scratch).mul_(self._rounded(1 - alpha)))
        torch.sqrt(square, out=scratch).add_(self._rounded(self.number("eps")))
        found = torch.div(gradients, scratch, out=scratch)
        if self.any("momentum"):
            momentum = self.number("momentum")
            buffer = self.state["momentum_buffer"].mul_(self._rounded(momentum)).add_(found)
            found = torch.where(momentum == 0, found, buffer)
        self.table.values.addcmul_(found, self._rounded(-self.number("lr")))


OPTIMIZERS: dict[type[torch.optim.Optimizer], type[RowOptimizer]] = {
    torch.optim.SGD: SGD,
    torch.optim.Adam: Adam,
    torch.optim.AdamW: AdamW,
    torch.optim.RMSprop: RMSprop,
}
"""The rows' form of each of PyTorch's optimisers that has one."""


def clip(gradients: Tensor, bounds: Sequence[float | None]) -> Tensor:
    """Scale each row to at most its bound in norm, in place, as `torch.nn.utils.clip_grad_norm_` does.

    Args:
        gradients: K x N.
        bounds: one a row; None for none.

    Returns:
        (K,) norms as they were.

    """
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    if any(bound is not None for bound in bounds):
        most = norms.new_tensor([float("inf") if bound is None else bound for bound in bounds])
        gradients.mul_((most / (norms + 1e-6)).clamp_(max=1.0).unsqueeze(1))
    return norms
