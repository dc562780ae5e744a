"""``hydra/launcher=seqsweep``: jobs of any Hydra sweeper, in parallel, one a slot.

Imported at the start of every Hydra application: keep it light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher

from hydra_plugins.seqsweep._schema import LauncherConf

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

# Here and not beside the class: whoever restores Hydra's singletons gets an empty store, and Hydra then
# runs this module again, but none that is imported already.
ConfigStore.instance().store(group="hydra/launcher", name="seqsweep", node=LauncherConf, provider="seqsweep")


class SeqsweepLauncher(Launcher):
    """Runs a batch of jobs on the local executor and returns in the batch's order."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `launch`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Compose and run one job for each list of overrides; blocks until all have ended."""
        from seqsweep.cli.batch import launch

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.task_function is not None
        return launch(self.config, self.hydra_context, self.task_function, job_overrides, initial_job_idx)
