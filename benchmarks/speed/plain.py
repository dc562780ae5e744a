"""The networks as a PyTorch user writes them: plain modules over ``nn.RNNBase``, and their losses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Item(NamedTuple):
    """A batch."""

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    target_lengths: Tensor | None = None


Measures = dict[str, tuple[Tensor, int]]
"""By name a batch's mean, and of how many."""


class Learner(nn.Module):
    """A network with its loss."""

    monitor = "val/loss"
    """What says how good it is."""

    def begin(self) -> None:
        """A pass over some data begins."""

    def loss(self, batch: Item) -> Tensor:
        raise NotImplementedError

    def judge(self, batch: Item) -> Measures:
        """The validation's loss and what the task goes by."""
        return {"loss": (self.loss(batch), len(batch.inputs))}


class Classifier(Learner):
    """A class from the last step."""

    monitor = "val/accuracy"

    def __init__(self, rnn: nn.RNNBase, head: nn.Linear) -> None:
        super().__init__()
        self.rnn, self.head = rnn, head

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.rnn(inputs)[0][:, -1])

    def loss(self, batch: Item) -> Tensor:
        return F.cross_entropy(self(batch.inputs), batch.targets)

    def judge(self, batch: Item) -> Measures:
        logits, size = self(batch.inputs), len(batch.inputs)
        right = (logits.argmax(-1) == batch.targets).float().mean()
        return {"loss": (F.cross_entropy(logits, batch.targets), size), "accuracy": (right, size)}


class Regressor(Classifier):
    """Numbers from the last step; for a forecast all steps of the horizon at once."""

    monitor = "val/loss"

    def loss(self, batch: Item) -> Tensor:
        return F.mse_loss(self(batch.inputs).view_as(batch.targets), batch.targets)

    judge = Learner.judge


class Composer(Classifier):
    """The next frame from each step, over sequences padded at their ends."""

    monitor = "val/loss"

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.rnn(inputs)[0])

    def loss(self, batch: Item) -> Tensor:
        true = _true(batch.targets, batch.target_lengths)
        frames = F.binary_cross_entropy_with_logits(self(batch.inputs), batch.targets, reduction="none")
        return (frames.sum(-1) * true).sum() / true.sum()

    def judge(self, batch: Item) -> Measures:
        return {"loss": (self.loss(batch), int(_true(batch.targets, batch.target_lengths).sum()))}


class CharacterModel(Learner):
    """The next token from each step; a batch begins where the one before ended."""

    def __init__(self, embedding: nn.Embedding, rnn: nn.RNNBase, head: nn.Linear) -> None:
        super().__init__()
        self.embedding, self.rnn, self.head = embedding, rnn, head
        self.state: Any = None

    def begin(self) -> None:
        self.state = None

    def loss(self, batch: Item) -> Tensor:
        outputs, state = self.rnn(self.embedding(batch.inputs), self.state)
        self.state = tuple(part.detach() for part in state)
        return F.cross_entropy(self.head(outputs).flatten(0, 1), batch.targets.flatten())

    def judge(self, batch: Item) -> Measures:
        return {"loss": (self.loss(batch), batch.targets.numel())}


class Translator(Learner):
    """Our own encoder and decoder with attention, called bare: to write them anew would prove nothing.

    Of the rest nothing is ours: the masks are drawn as the model draws them, from the same numbers.
    """

    monitor = "val/exact_match"

    def __init__(self, network: Any, generator: torch.Generator, padding: int) -> None:
        super().__init__()
        self.network, self.generator, self.padding = network, generator, padding

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=self.padding)

    def loss(self, batch: Item) -> Tensor:
        masks = self.network.draw_masks(batch, self.generator)
        logits = self.network(batch.inputs, batch.lengths, batch.targets, masks)
        return self._cross_entropy(logits, batch.targets)

    def judge(self, batch: Item) -> Measures:
        logits = self.network(batch.inputs, batch.lengths, batch.targets)
        told = self.network.generate(batch.inputs, batch.lengths)
        width = max(told.shape[1], batch.targets.shape[1])
        rows = [F.pad(each, (0, width - each.shape[1]), value=self.padding) for each in (told, batch.targets)]
        tokens = int((batch.targets != self.padding).sum())
        return {
            "loss": (self._cross_entropy(logits, batch.targets), tokens),
            "exact_match": (torch.eq(*rows).all(1).float().mean(), len(told)),
        }


def fit(
    learner: Learner,
    batches: Callable[[int], Iterable[Item]],
    val: list[Item],
    *,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> list[dict[str, float]]:
    """The bare loop; each epoch's mean loss, its seconds in steps, and what its validation measured."""
    parameters, history = list(learner.parameters()), []
    for epoch in range(epochs):
        began = time.perf_counter()
        learner.train()
        learner.begin()
        losses = []
        for batch in batches(epoch):
            optimizer.zero_grad()
            loss = learner.loss(batch)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            losses.append(loss.detach())
        means = {"train/loss": float(torch.stack(losses).mean()), "seconds": time.perf_counter() - began}
        history.append(means | validate(learner, val))
    return history


@torch.inference_mode()
def validate(learner: Learner, val: list[Item]) -> dict[str, float]:
    """The measures over all batches."""
    learner.eval()
    learner.begin()
    measured = [learner.judge(batch) for batch in val]
    return {
        f"val/{name}": float(sum(each[name][0] * each[name][1] for each in measured))
        / sum(each[name][1] for each in measured)
        for name in measured[0]
    }


def _true(steps: Tensor, lengths: Tensor | None) -> Tensor:
    """Batch x time: which steps are no padding."""
    if lengths is None:
        return torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
    return torch.arange(steps.shape[1], device=steps.device) < lengths.unsqueeze(1)
