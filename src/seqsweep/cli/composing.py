"""From a composed Hydra configuration to the plain dict that training reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def plain(config: DictConfig) -> dict[str, Any]:
    """The task's part of a composed configuration, its `hydra` node left out, resolved."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if "hydra" in config:
        # For interpolations of ${hydra:...}. Hydra's own set_config makes a copy, which takes 6 ms.
        HydraConfig.instance().cfg = config  # type: ignore[assignment]

    def resolved(key: Any) -> Any:
        if OmegaConf.is_missing(config, key):
            return "???"
        value = config[key]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    # Not of a copy without `hydra`: to make that takes longer than all the rest.
    return {str(key): resolved(key) for key in config if key != "hydra"}
