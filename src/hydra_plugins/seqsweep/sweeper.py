"""``hydra/sweeper=seqsweep``: the adapter between Hydra and `seqsweep.cli.sweep`.

Hydra imports this module at the start of every application in the environment:
nothing heavy may be imported at its top.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

from hydra_plugins.seqsweep._schema import SweeperConf

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

# Here and not beside the class: whoever restores Hydra's singletons gets an empty store, and Hydra then
# runs this module again, but none that is imported already.
ConfigStore.instance().store(group="hydra/sweeper", name="seqsweep", node=SweeperConf, provider="seqsweep")


class SeqsweepSweeper(Sweeper):
    """Hands the study to the engine; keeps nothing but what Hydra gives it."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the study; `arguments` are the command line's overrides."""
        from seqsweep.cli.sweep import sweep
        from seqsweep.errors import SeqsweepError

        assert self.config is not None
        assert self.hydra_context is not None
        try:
            return sweep(self.config, self.hydra_context, self.task_function)
        except SeqsweepError as error:
            if getattr(self.task_function, "seqsweep_native", False):
                raise  # our own command line reports it
            print(f"seqsweep: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
