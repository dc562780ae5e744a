"""Built: the parts of a run, made from its configuration and found in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models.base import boolean
from seqsweep.tasks.schedules import make_schedule
from seqsweep.training import seeding
from seqsweep.training.arguments import trainer_arguments
from seqsweep.training.compiling import mode_of
from seqsweep.training.gradients import check_flows
from seqsweep.training.instantiation import complete, instantiate

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.pytorch import LightningDataModule

    from seqsweep.models import Model
    from seqsweep.spec import DataSpec
    from seqsweep.tasks import Task

GROUPS = ("data", "model", "task", "optimizer", "trainer")
KEEP = ("best", "all")
"""Values of ``tracking.keep_checkpoints``: best.ckpt only, or last.ckpt as well once a run has ended."""

OPTIMIZER_NUMBERS: dict[str, Callable[[str, object], float]] = {
    "lr": checks.positive_float,
    "weight_decay": checks.non_negative_float,
    "momentum": checks.non_negative_float,
    "dampening": checks.non_negative_float,
    "eps": checks.non_negative_float,
    "alpha": checks.probability,
}


@dataclass(frozen=True)
class Built:
    """A run ready to be trained; `config` is what it was made from."""

    data: LightningDataModule
    spec: DataSpec
    model: Model
    task: Task
    trainer: dict[str, Any]
    """Arguments for Lightning's Trainer, callbacks built."""
    config: dict[str, Any]

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return int(self.config["seed"])

    @property
    def patience(self) -> int | None:
        """Validations without a better one after which a run is stopped; None for no such thing."""
        patience: int | None = self.config["trainer"].get("patience")
        return patience

    @property
    def compile(self) -> str | None:
        """The mode in which the step is compiled; None for not at all."""
        return mode_of(self.config["trainer"].get("compile"))

    @property
    def matmul_precision(self) -> str | None:
        """One of `seqsweep.training.rounding.PRECISIONS`; None for PyTorch's own."""
        precision: str | None = self.config["trainer"].get("matmul_precision")
        return precision

    @property
    def gradient_flow(self) -> bool:
        """Whether to draw how far back the gradient reaches."""
        wanted = (self.config.get("tracking") or {}).get("gradient_flow", False)
        return boolean("tracking.gradient_flow", wanted)

    @property
    def system_metrics(self) -> bool:
        """Whether to sample what the run uses of its machine."""
        wanted = (self.config.get("tracking") or {}).get("system_metrics", True)
        return boolean("tracking.system_metrics", wanted)

    @property
    def keep_checkpoints(self) -> str:
        """``best`` or ``all``."""
        return str(self.config.get("tracking", {}).get("keep_checkpoints", "best"))


def build(config: Mapping[str, Any]) -> Built:
    """Make all parts of a run; nothing is written into a run's folder.

    Initial weights are drawn from the trial's seed, whatever ran before.

    Raises:
        ConfigError: a value is wrong; the message is one line that begins with its key.
        DataError: a file of the data set is missing or malformed.

    """
    config = dict(config)
    seed = _check(config)
    trainer = trainer_arguments(config["trainer"])
    data = instantiate("data", config["data"])
    data.setup()
    with seeding.isolated(seed, "init"):
        model = complete("model", instantiate("model", config["model"], supplied=1), data.spec)
    task = _task(config, model, data.spec)
    built = Built(data, data.spec, model, task, trainer, config)
    _ = built.system_metrics  # refused here if it is neither true nor false
    if built.gradient_flow:
        check_flows(model)
    return built


def _check(config: Mapping[str, Any]) -> int:
    """The seed, once everything that needs no building has been found in order."""
    seed = checks.int_at_least(0, "seed", config.get("seed"))
    if config.get("threads") is not None:
        checks.positive_int("threads", config["threads"])
    for group in GROUPS:
        if not isinstance(config.get(group), Mapping):
            raise ConfigError(f"{group}={config.get(group)}: expected a configuration with its keys")
    for name, check in OPTIMIZER_NUMBERS.items():
        if name in config["optimizer"]:
            check(f"optimizer.{name}", config["optimizer"][name])
    if config["optimizer"].get("fused") is not None:
        boolean("optimizer.fused", config["optimizer"]["fused"])
    keep = (config.get("tracking") or {}).get("keep_checkpoints", "best")
    checks.one_of("tracking.keep_checkpoints", keep, KEEP)
    return seed


def _task(config: Mapping[str, Any], model: Model, spec: DataSpec) -> Task:
    optimizer = instantiate("optimizer", config["optimizer"], supplied=1)
    scheduler = config.get("scheduler")
    if scheduler is not None:
        scheduler = instantiate("scheduler", scheduler, supplied=1)
    # made once for the sake of their errors; Lightning makes its own when it fits
    made = complete("optimizer", optimizer, model.parameters())
    if scheduler is not None:
        complete("scheduler", make_schedule, scheduler, made, 100)
    task: Task = complete(
        "task", instantiate("task", config["task"], supplied=4), model, spec, optimizer, scheduler
    )
    return task
