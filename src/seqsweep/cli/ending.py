"""What a person reads when a study's command ends: leaderboard, best command, where things are."""

from __future__ import annotations

import resource
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.cli.frozen import FrozenConf
from seqsweep.errors import without_password
from seqsweep.reporting.leaderboard import leaderboard, print_leaderboard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seqsweep.cli.plan import Plan
    from seqsweep.sweeping import Study

MEBIBYTE = 2**20


def table(plan: Plan, study: Study) -> None:
    """Print the leaderboard to standard output."""
    print_leaderboard(leaderboard(study.optuna), plan.settings.metrics)


def rest(plan: Plan, study: Study, worker_memory: int) -> None:
    """Print what follows the leaderboard. `worker_memory` in bytes, 0 if no worker ran."""
    threads = study.optuna.user_attrs.get("seqsweep.threads", 1)
    name = plan.settings.name
    metrics = plan.settings.metrics
    if best := study.best():
        tested = study.optuna.user_attrs.get("seqsweep.test") or {}
        tests = "".join(f", {key} {value:.4f}" for key, value in tested.items())
        values = ", ".join(
            f"{metric} {value:.4f}" for metric, value in zip(metrics, best.values, strict=True)
        )
        by = f" by {metrics[0]}" if len(metrics) > 1 else ""
        print(f"best{by}: trial {best.number}, {values}{tests}")
        print("train it again:")
        print(f"  {commands(plan, threads)(best.params)}")
    tracking = plan.tracking["uri"] or paths.tracking_uri()
    stores = (
        f"stores: {_here(tracking)} (MLflow), {_here(str(plan.settings.storage))} (Optuna), "
        f"{_here(str(plan.folder))}/ (trials)"
    )
    print(without_password(stores))
    print(f"look:   {look(plan.tracking['uri'], name)}")
    if worker_memory:
        scale = 1 if sys.platform == "darwin" else 1024
        driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
        print(
            f"memory: driver {driver / MEBIBYTE:.0f} MiB, largest worker {worker_memory / MEBIBYTE:.0f} MiB"
        )


def look(uri: str | None, *study: str) -> str:
    """The command that shows what was recorded, in the store that a configuration may name."""
    elsewhere = ["--tracking-uri", uri] if uri and uri != paths.tracking_uri() else []
    return shlex.join(["seqsweep", "ui", *study, *elsewhere])


def commands(plan: Plan, threads: int) -> Callable[[Mapping[str, object]], str]:
    """Makes of the parameters of a trial the command that trains it by itself, ready for a shell."""
    config = plan.application.config
    if plan.application.native:
        words = _training(config.hydra)
        given = _threads(threads if config.get("threads") is None else None)
    else:
        words, given = ["python", *sys.argv[:1], *config_dir(config.hydra)], []

    def command(params: Mapping[str, object]) -> str:
        overrides = plan.space.overrides(params)  # type: ignore[arg-type]  # what Optuna stored is a Value
        return shlex.join([*words, *overrides, *given])

    return command


def train_command(hydra: Any, overrides: Sequence[str], threads: int | None = None) -> str:
    """The command that trains one configuration, with `threads` of the processor if it does not say."""
    return shlex.join([*_training(hydra), *overrides, *_threads(threads)])


def _training(hydra: Any) -> list[str]:
    name = hydra.job.config_name
    named = ["--config-name", str(name)] if name != "train" else []
    return ["seqsweep", "train", *named, *config_dir(hydra)]


def _threads(count: int | None) -> list[str]:
    return [f"threads={count}"] if (count or 1) > 1 else []


def config_dir(hydra: Any) -> list[str]:
    """``--config-dir DIR`` if the configuration came from one, or from the copy of one."""
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            place = Path(source.path)  # a study's copy is in STUDY/.seqsweep/conf/NUMBER
            study = place.parents[2] if len(place.parents) > 2 else place
            return ["--config-dir", str(FrozenConf(study).origin(place))]
    return []


def _here(location: str) -> str:
    """A path or URL shortened where it lies in the working directory."""
    return location.replace(f"sqlite:///{Path.cwd()}/", "").replace(f"{Path.cwd()}/", "")
