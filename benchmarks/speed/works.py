"""The work that is measured: what one would type after ``seqsweep train``, and how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqsweep.training import Built
    from speed.feeds import Table, Text
    from speed.plain import Learner


@dataclass(frozen=True)
class Work:
    """One network on one data set."""

    name: str
    what: str
    overrides: tuple[str, ...]
    epochs: int
    bar: float | None = None
    """The least share of the bare loop's steps a second that ours must have."""
    needs: str | None = None
    """The data set's folder, if there is one."""

    def typed(self, device: str = "cpu", *more: str) -> list[str]:
        """All overrides."""
        accelerator = "gpu" if device == "cuda" else "cpu"
        return [
            *self.overrides,
            f"trainer.max_epochs={self.epochs}",
            f"trainer.accelerator={accelerator}",
            *more,
        ]

    def quick(self) -> Work:
        """The same, for a smoke run."""
        return replace(self, epochs=2)


DIGITS = ("data=digits", "data.batch_size=32", "optimizer.lr=1e-3")
MNIST = ("data=mnist_rows", "data.batch_size=64", "data.validation_size=1000", "optimizer.lr=1e-3")
FILES = tuple(f"data.{part}={part}.txt" for part in ("train", "val", "test"))
TEXT = ("data=tinyshakespeare", *FILES, "optimizer.lr=1e-3")
CHORALES = ("data=jsb_chorales", "data.batch_size=8", "optimizer.lr=1e-3")

SIZES = (
    Work(
        "tiny", "digits, GRU 64, batch 32",
        (*DIGITS, "model=gru", "model.hidden_size=64"), epochs=30, bar=0.85,
    ),
    Work(
        "medium", "MNIST rows, LSTM 128, batch 64",
        (*MNIST, "model=lstm", "model.hidden_size=128"), epochs=4, bar=0.95, needs="mnist",
    ),
    Work(
        "large", "characters, LSTM 512, batch 32 of 50",
        (*TEXT, "data.batch_size=32", "data.bptt=50", "model=lstm", "model.hidden_size=512"),
        epochs=2, bar=0.97, needs="tinyshakespeare",
    ),
    Work(
        "seq2seq", "SCAN, LSTM 128 with attention, batch 128",
        ("experiment=scan_simple", "scheduler=none", "data.batch_size=128", "data.validation_size=256"),
        epochs=1, bar=0.95, needs="scan",
    ),
    Work(
        "forecasting", "ETTh1 windows of 96, LSTM 128, batch 32",
        ("data=etth1", "data.stride=8", "model=lstm", "model.hidden_size=128", "optimizer.lr=1e-3"),
        epochs=4, needs="etth1",
    ),
)  # fmt: skip


def configuration(overrides: list[str]) -> dict[str, Any]:
    """What ``seqsweep train`` composes from them."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from seqsweep import paths

    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        made: Any = OmegaConf.to_container(compose("train", overrides), resolve=True)
    return made  # type: ignore[no-any-return]


def member(config: dict[str, Any], *, seed: int, lr: float) -> dict[str, Any]:
    """The configuration with another seed and learning rate."""
    return {
        **config,
        "seed": seed,
        "data": {**config["data"], "seed": seed},
        "optimizer": {**config["optimizer"], "lr": lr},
    }


def plainly(built: Built, device: str) -> tuple[Learner, Table | Text]:
    """A built run as a PyTorch user has it: the same initial weights, the same batches."""
    import torch

    from seqsweep.training import seeding
    from speed import feeds, plain

    torch.set_num_threads(1)
    model: Any = built.model
    if built.spec.kind == "seq2seq":
        masks = seeding.generator(built.seed, "masks", device)
        learner: Learner = plain.Translator(model, masks, built.spec.padding_index)
        return learner.to(device), feeds.feed(built.data, device)  # type: ignore[arg-type]
    kernel = {"RNN_TANH": torch.nn.RNN}.get(model.recurrent.mode) or getattr(torch.nn, model.recurrent.mode)
    rnn = kernel(model.recurrent.input_size, model.recurrent.hidden_size, batch_first=True)
    rnn.load_state_dict(model.recurrent.state_dict())
    if built.spec.kind == "language_modelling":
        learner = plain.CharacterModel(model.inputs, rnn, model.head)
    else:
        kinds = {"classification": plain.Classifier, "music": plain.Composer, "forecasting": plain.Regressor}
        learner = kinds[built.spec.kind](rnn, model.head)
    return learner.to(device), feeds.feed(built.data, device)  # type: ignore[arg-type]
