"""TrialStack: many trials of one architecture, trained as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from seqsweep.stacking.optimizers import OPTIMIZERS, clip
from seqsweep.stacking.parameters import Table
from seqsweep.stacking.step import losses
from seqsweep.training.outcomes import out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from seqsweep.protocol import Outcome
    from seqsweep.stacking.member import Member
    from seqsweep.tasks import Task


GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
WHOLE, BLOCK = 450_000, 330_000
"""Numbers that a time step may touch in one go, or else in each of several; see benchmarks/NOTES.md."""


class TrialStack:
    """Trains its members together, step by step, each on its own batches and at its own epoch.

    A step is one function of a table that has a row of parameters a member; all
    that a step does stays within a row, so that each member is trained as it would be alone.

    Args:
        members: of one architecture, on one device.
        template: a task like theirs, as `seqsweep.stacking.step.losses` wants one.

    """

    def __init__(self, members: Sequence[Member], template: Task) -> None:
        self.members = list(members)
        self._template = template
        self._arrange()

    def train(self) -> Iterator[tuple[Member, Outcome]]:
        """Each member with its outcome, as it ends."""
        while self.members:
            self.step()
            ended = [
                (member, outcome) for member in self.members if (outcome := _between(member)) is not None
            ]
            if ended:
                for member, _ in ended:
                    self.members.remove(member)
                if self.members:
                    self._arrange()
            yield from ended

    def step(self) -> None:
        """One optimiser step of every member, on its next batch."""
        draws = [member.draw() for member in self.members]
        after: dict[int, Any] = {}

        def own(rows: Sequence[int], parameters: dict[str, Tensor]) -> Tensor:
            found, states = losses(self._template, parameters, [draws[row] for row in rows])
            after.update(zip(rows, states, strict=True))
            return found

        lengths = [draw.batch.inputs.shape[1] for draw in draws]
        found = self.table.differentiate(own, lengths)
        norms = clip(self.table.gradients, [member.clip for member in self.members])
        self.optimizer.step()
        measured = torch.stack([found, norms], dim=1)
        for row, (member, one) in enumerate(zip(self.members, measured.unbind(), strict=True)):
            member.stepped(one, after[row])

    def _arrange(self) -> None:
        """Put the members' parameters, and their optimisers' state, side by side."""
        models = [member.task.model for member in self.members]
        self.table = Table(models, _block(self._template, self.members))
        optimizers = [member.optimizer for member in self.members]
        self.optimizer = OPTIMIZERS[type(optimizers[0])](self.table, optimizers)


def _block(task: Task, members: Sequence[Member]) -> int:
    """How many trials a step takes at once: what of them is worked on has to fit into a processor's cache."""
    layers = task.model.recurrent
    if members[0].device.type != "cpu" or not isinstance(layers, nn.RNNBase):
        return len(members)
    size, gates = layers.hidden_size, GATES[layers.mode]
    numbers = size * (members[0].loader.batch_size * (2 * gates + 1) + gates * size)
    return len(members) if len(members) * numbers <= WHOLE else max(1, BLOCK // numbers)


def _between(member: Member) -> Outcome | None:
    """What is due after a step; an outcome if the member is over. What one raises ends it alone."""
    try:
        return member.turn() if member.epoch_over else member.pause()
    except Exception as error:
        if out_of_memory(error):
            raise  # it is not this one's fault more than another's
        return member.failed(error)
