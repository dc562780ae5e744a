"""Vanishing gradients: how far back the gradient reaches in an RNN, an LSTM and a GRU, side by side.

    .venv/bin/python benchmarks/gradient_flow.py

The adding problem over 200 steps, 64 units, before and after the training of
``experiment=adding_rnn`` and its siblings (two minutes). Writes
benchmarks/results/gradient_flow.png, and prints how much of the gradient at the
last step is left 10, 50 and 150 steps before it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqsweep import paths
from seqsweep.protocol import LocalContext
from seqsweep.tasks import pictures
from seqsweep.tracking import MemoryTracker
from seqsweep.training import build, train
from seqsweep.training.gradients import gradient_flow

if TYPE_CHECKING:
    import numpy as np

    from seqsweep.training import Built

PICTURE = Path(__file__).parent / "results" / "gradient_flow.png"


def configuration(model: str) -> Any:
    """``seqsweep train experiment=adding_<model>``."""
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [f"experiment=adding_{model}"]), resolve=True)


def flow(built: Built) -> np.ndarray:
    """(steps,) norms of the only layer."""
    return gradient_flow(built.task, next(iter(built.data.val_dataloader())))[0]


def main() -> None:
    """Train, measure and draw."""
    panels = {}
    for model in ("rnn", "lstm", "gru"):
        built = build(configuration(model))
        lines = {"before training": flow(built)}
        with tempfile.TemporaryDirectory() as folder:
            train(built, context=LocalContext(Path(folder)), tracker=MemoryTracker())
        lines["after training"] = flow(built)
        for name, norms in lines.items():
            left = ", ".join(f"{back} steps before: {norms[back] / norms[0]:.2g}" for back in (10, 50, 150))
            print(f"{model:<5}{name:<16}{left}", flush=True)
        panels[model.upper()] = lines
    pictures.gradient_flow(panels).savefig(PICTURE, dpi=150)
    print(PICTURE)


if __name__ == "__main__":
    main()
