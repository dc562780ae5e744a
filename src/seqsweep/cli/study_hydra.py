"""Hydra where the configuration must be a study of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra._internal.hydra import Hydra

from seqsweep.errors import StudyError

if TYPE_CHECKING:
    from omegaconf import DictConfig


class StudyHydra(Hydra):
    """Composes the study's configuration, once; raises StudyError if another sweeper would run it."""

    def compose_config(self, config_name: str | None, *rest: Any, **more: Any) -> DictConfig:
        """As Hydra does, before anything is made of it."""
        config = super().compose_config(config_name, *rest, **more)
        if "hydra_plugins.seqsweep" not in str(config.hydra.sweeper.get("_target_")):
            raise StudyError(
                f"study '{config_name}' has another sweeper than ours: expected "
                "'override hydra/sweeper: seqsweep' in its defaults"
            )
        return config
