"""Runs as training leaves them, but with weights as they were drawn: made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqsweep import paths, training
from seqsweep.training import folder
from seqsweep.training.record import learnt


def leave(directory: Path, *overrides: str) -> Path:
    """The three files of a run of that configuration in `directory`."""
    directory.mkdir()
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        node = compose("train", [*overrides, "model.hidden_size=8"])
    config: Any = OmegaConf.to_container(node, resolve=True)
    built = training.build(config)
    folder.write_config(directory, config)
    folder.write_data(directory, learnt(built))
    torch.save({"state_dict": built.task.state_dict(), "global_step": 1}, directory / folder.BEST)
    return directory
