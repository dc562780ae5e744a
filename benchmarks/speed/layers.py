"""Training steps of ``nn.GRU`` and of our GRU from the same weights on the same numbers."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from speed.measuring import OtherWorkError
from speed.plain import Classifier, Item

CLASSES, CLIP, FIRST = 10, 1.0, 20


class Ours(nn.Module):
    """Our model as a learner of the bare loop."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def loss(self, batch: Item) -> torch.Tensor:
        return F.cross_entropy(self.model(batch.inputs), batch.targets)


def rates(shape: list[int], rounds: int, seconds: float, device: str) -> dict[str, list[float]]:
    """Steps a second of each in each round. Raises OtherWorkError if their losses part."""
    from seqsweep.models import GRU
    from seqsweep.spec import DataSpec

    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, steps, features, units = shape
    spec = DataSpec(name="drawn", input_size=features, output_size=CLASSES)
    model = GRU(spec, hidden_size=units)
    plain = Classifier(nn.GRU(features, units, batch_first=True), nn.Linear(units, CLASSES))
    plain.rnn.load_state_dict(model.recurrent.state_dict())
    plain.head.load_state_dict(model.head.state_dict())
    inputs, targets = torch.randn(batch, steps, features), torch.randint(CLASSES, (batch,))
    item = Item(inputs.to(device), targets.to(device))
    loops = {"nn.GRU": _Loop(plain.to(device), item), "ours": _Loop(Ours(model).to(device), item)}
    losses = {name: loop.steps(FIRST) for name, loop in loops.items()}
    if abs(losses["ours"] - losses["nn.GRU"]) > 1e-3:
        raise OtherWorkError(f"GRU {units}: after {FIRST} steps the losses are {losses}")
    found: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            found[name].append(loop.rate(seconds))
    return found


class _Loop:
    def __init__(self, learner: Any, item: Item) -> None:
        self.learner, self.item = learner, item
        self.parameters = list(learner.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-3)

    def steps(self, count: int) -> float:
        """Make so many; the last one's loss."""
        for _ in range(count):
            self.optimizer.zero_grad()
            loss = self.learner.loss(self.item)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, CLIP)
            self.optimizer.step()
        return float(loss.detach())

    def rate(self, seconds: float) -> float:
        """Steps a second over that time."""
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            self.steps(10)  # ends by reading the loss, which waits for a device
            count += 10
        return count / (time.perf_counter() - began)
