"""A data set, models and a configuration small enough to train in a blink, some of them faulty on purpose."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from seqsweep.data import Examples, SequenceData, Splits
from seqsweep.models import GRU
from seqsweep.protocol import LocalContext
from seqsweep.spec import DataSpec
from seqsweep.training import Built, build

STEPS = 8
"""Batches of an epoch."""


class TinyData(SequenceData):
    """64 sequences of 5 steps whose class is the sign of their first number's sum."""

    def __init__(self, batch_size: int = 8, seed: int = 0) -> None:
        super().__init__(batch_size, None, seed)

    def load(self) -> Splits:
        random = torch.Generator().manual_seed(0)
        inputs = torch.randn(128, 5, 3, generator=random)
        targets = (inputs[..., 0].sum(1) > 0).long()
        parts = {"train": slice(0, 64), "val": slice(64, 96), "test": slice(96, 128)}
        spec = DataSpec(name="tiny", input_size=3, output_size=2)
        return Splits(spec, **{name: Examples(inputs[rows], targets[rows]) for name, rows in parts.items()})


class Forgetful(TinyData):
    """The same from a DataLoader, which does not know its place within an epoch."""

    def train_dataloader(self) -> Any:
        batches = list(super().train_dataloader())
        return DataLoader(batches, batch_size=None, shuffle=True)  # type: ignore[arg-type]


class Faulty(GRU):
    """A GRU that goes wrong in training step `at`, in the way `fault` says; counted from 0."""

    def __init__(self, spec: DataSpec, *, fault: str, at: int = 0, hidden_size: int = 4) -> None:
        super().__init__(spec, hidden_size=hidden_size)
        self.fault = fault
        self.at = at
        self.calls = 0

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, masks: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        logits = super().forward(inputs, lengths, masks)
        if not torch.is_grad_enabled():
            return logits
        self.calls += 1
        if self.calls <= self.at:
            return logits
        if self.fault == "nan":
            return logits * float("nan")
        raise FAULTS[self.fault]


FAULTS = {
    "memory": MemoryError(),
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "allocator": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"
    ),
    "error": ValueError("first line\nsecond line"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
}

CONFIG: dict[str, Any] = {
    "seed": 7,
    "data": {"_target_": "training.tiny.TinyData", "batch_size": 8, "seed": 7},
    "model": {"_target_": "seqsweep.models.GRU", "_partial_": True, "hidden_size": 4, "num_layers": 2},
    "task": {"_target_": "seqsweep.tasks.Classification", "_partial_": True},
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.02, "weight_decay": 0.0},
    "scheduler": None,
    "trainer": {
        "max_epochs": 4,
        "gradient_clip_val": 1.0,
        "accelerator": "cpu",
        "log_every_n_steps": 3,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
    "tracking": {"uri": None, "experiment": "x", "keep_checkpoints": "best", "test_each": False},
}


SCHEDULERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "cosine": {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True, "T_max": 4},
    "one_cycle": {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "_partial_": True, "max_lr": 0.02},
    "warm_up": {"_target_": "seqsweep.tasks.WarmUp", "_partial_": True},
    "plateau": {
        "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "_partial_": True,
        "patience": 0,
        "threshold": 0.5,
    },
}
"""Values of ``scheduler``, by name."""


def config(**changes: Any) -> dict[str, Any]:
    """CONFIG with keys changed, ``optimizer__lr=1`` standing for ``optimizer.lr=1``."""
    made = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *groups, name = key.split("__")
        node = made
        for group in groups:
            node = node[group]
        node[name] = value
    return made


def faulty(fault: str, at: int = 0, **changes: Any) -> dict[str, Any]:
    model = {"_target_": "training.tiny.Faulty", "_partial_": True, "fault": fault, "at": at}
    return config(model=model, **changes)


def tiny(**changes: Any) -> Built:
    return build(config(**changes))


class Answering(LocalContext):
    """Says stop at the report number `stop`, counted from 1, and is interrupted from the look `steps` on."""

    stop = 0
    steps = 0

    def report(self, value: float, step: int) -> bool:
        super().report(value, step)
        return len(self.reports) != self.stop

    @property
    def interrupted(self) -> bool:  # type: ignore[override]
        self._looks += 1
        return 0 < self.steps <= self._looks

    @interrupted.setter
    def interrupted(self, value: bool) -> None:
        self._looks = 0
