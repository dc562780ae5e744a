"""From a composed Hydra configuration to the plain dict that training reads."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def plain(config: DictConfig) -> dict[str, Any]:
    """The task's part of a composed configuration, its `hydra` node left out, resolved."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf, open_dict, read_write

    task = copy.copy(config)
    if "hydra" in config:
        HydraConfig.instance().set_config(config)  # for interpolations of ${hydra:...}
        with read_write(task), open_dict(task):
            del task["hydra"]
    resolved: dict[str, Any] = OmegaConf.to_container(task, resolve=True)  # type: ignore[assignment]
    return resolved
