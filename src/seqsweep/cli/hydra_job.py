"""A job that is a Hydra job: any application's task function, run with Hydra's own `run_job`.

So HydraConfig, output folders, logging and callbacks are as the application knows them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsFloat

from seqsweep.checks import nearest
from seqsweep.cli.composing import plain
from seqsweep.protocol import Complete, Failed, JobContext, Outcome

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


Payload = tuple[bytes, bytes]
"""Pickled: what all jobs of an application share, and one job's configuration."""


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

    def composing_with(self, loader: ConfigLoader) -> Application:
        """The same application, its jobs composed by `loader`."""
        return replace(self, context=replace(self.context, config_loader=loader))

    def payload(self, config: DictConfig) -> Payload:
        """What a worker needs to run one composed job; closures travel too."""
        import cloudpickle

        return self._shared, cloudpickle.dumps(config)

    @cached_property
    def _shared(self) -> bytes:
        """What is the same for all jobs, pickled once: it takes several times what a configuration takes."""
        import cloudpickle
        from hydra.core.plugins import Plugins
        from hydra.core.singleton import Singleton

        plugins = set(Plugins.instance().class_name_to_class)
        data: bytes = cloudpickle.dumps((Singleton.get_state(), plugins, self.context, self.function))
        return data


def run(payload: Payload, context: JobContext) -> Outcome:
    """Entry of a launcher's job: the JobReturn goes back whole, a failure inside it."""
    import cloudpickle

    return Complete(detail=_portable(_run_job(payload), cloudpickle.dumps))


def run_trial(payload: tuple[Payload, Sequence[str]], context: JobContext) -> Outcome:
    """Entry of a study's trial: what the function returns are the trial's values.

    Args:
        payload: from `Application.payload`; and the names of the objectives.
        context: not used; `seqsweep.report` finds it.

    """
    parts, metrics = payload
    return values_of(_run_job(parts).return_value, metrics)  # raises what the function raised


@dataclass(frozen=True)
class Call:
    """Entry of a trial that another launcher has made a Hydra job already: calls the function alone."""

    function: TaskFunction
    metrics: Sequence[str]

    def __call__(self, config: DictConfig, context: JobContext) -> Outcome:
        """The outcome of the function on the composed configuration."""
        return values_of(self.function(config), self.metrics)


@dataclass(frozen=True)
class OwnCall:
    """The same for a job of `seqsweep.training.jobs`; `rest` is its payload without the configuration."""

    job: str
    rest: Mapping[str, Any]

    def __call__(self, config: DictConfig, context: JobContext) -> Outcome:
        """The job's outcome on the composed configuration."""
        from seqsweep.training import jobs

        entry: Callable[..., Outcome] = getattr(jobs, self.job)
        return entry({"config": plain(config), **self.rest}, context)


def values_of(returned: object, metrics: Sequence[str]) -> Outcome:
    """Complete with one number an objective, or Failed with what was returned instead.

    Args:
        returned: a number; or a mapping in which the objectives are keys; or one number an
            objective, in their order. Arrays and tensors are as good as numbers and sequences.
        metrics: the names of the objectives.

    """
    wanted = "a number" if len(metrics) == 1 else f"a number for each of {', '.join(metrics)}"
    if isinstance(returned, Mapping):
        missing = [name for name in metrics if name not in returned]
        if missing:
            return Failed(
                f"the function returned a mapping without '{missing[0]}': expected the keys that "
                f"hydra.sweeper.metric names{nearest(missing[0], map(str, returned))}"
            )
        parts = [returned[name] for name in metrics]
    else:
        parts = _listed(returned)
    numbers = [number for number in map(_number, parts) if number is not None]
    if len(numbers) != len(parts) or len(parts) != len(metrics):
        return Failed(f"the function returned {reprlib.repr(returned)}: expected {wanted}")
    return Complete(tuple(numbers))


def _listed(returned: Any) -> list[Any]:
    if hasattr(returned, "tolist"):  # torch's and NumPy's, whatever their shape
        returned = returned.tolist()
    if isinstance(returned, Sequence) and not isinstance(returned, str | bytes):
        return list(returned)
    return [returned]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # an array of several
        return None


def _run_job(payload: Payload) -> JobReturn:
    import cloudpickle
    from hydra.core.utils import run_job, setup_globals

    state, plugins, hydra_context, function = cloudpickle.loads(payload[0])
    setup_globals()
    _restore(state, plugins)
    config = cloudpickle.loads(payload[1])
    return run_job(
        hydra_context=hydra_context,
        task_function=function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _restore(state: dict[str, Any], plugins: set[str]) -> None:
    """Hydra's singletons as the driver has them; its plugins as the warm server found them, if the same."""
    from hydra.core.plugins import Plugins
    from hydra.core.singleton import Singleton

    found: Any = Singleton._instances.get(Plugins)
    if found is not None and set(found.class_name_to_class) == plugins:
        state["instances"][Plugins] = found  # else Hydra imports them all again
    Singleton.set_state(state)


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
