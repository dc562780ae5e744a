"""A job that is a Hydra job: any application's task function, run with Hydra's own `run_job`.

So HydraConfig, output folders, logging and callbacks are as the application knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsFloat

from seqsweep.protocol import Complete, Failed, JobContext, Outcome

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Application:
    """A Hydra application as seen from its sweeper or launcher."""

    config: DictConfig
    context: HydraContext
    function: TaskFunction

    @property
    def native(self) -> bool:
        """Whether the function is seqsweep's own, whose trials are plain jobs of `training`."""
        return bool(getattr(self.function, "seqsweep_native", False))

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """The configuration of job `number`, its `hydra` node included and nothing resolved."""
        from omegaconf import open_dict, read_write

        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with read_write(config), open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        return config

    def payload(self, config: DictConfig) -> bytes:
        """What a worker needs to run one composed job; closures travel too."""
        import cloudpickle
        from hydra.core.singleton import Singleton

        parts = (Singleton.get_state(), self.context, config, self.function)
        data: bytes = cloudpickle.dumps(parts)
        return data


def run(payload: bytes, context: JobContext) -> Outcome:
    """Entry of a launcher's job: the JobReturn goes back whole, a failure inside it."""
    import cloudpickle

    return Complete(detail=_portable(_run_job(payload), cloudpickle.dumps))


def run_trial(payload: bytes, context: JobContext) -> Outcome:
    """Entry of a study's trial: what the function returns is the trial's value."""
    value = _run_job(payload).return_value  # raises what the function raised
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return Failed(f"the function returned {value!r}: expected a number")
    return Complete((float(value),))


def _run_job(payload: bytes) -> JobReturn:
    import cloudpickle
    from hydra.core.singleton import Singleton
    from hydra.core.utils import run_job, setup_globals

    state, hydra_context, config, function = cloudpickle.loads(payload)
    setup_globals()
    Singleton.set_state(state)
    return run_job(
        hydra_context=hydra_context,
        task_function=function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def returned(outcome: Complete) -> JobReturn:
    """The JobReturn that `run` sent back."""
    import cloudpickle

    done: JobReturn = cloudpickle.loads(outcome.detail)
    return done


def _portable(done: Any, dumps: Callable[[object], bytes]) -> bytes:
    try:
        return dumps(done)
    except Exception:  # pickling may raise anything; the return value is the user's own
        done.return_value = RuntimeError(f"the job's result does not pickle: {done._return_value!r}")
        return dumps(done)
