"""One run, in this process: build, train, record."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.cli.publishing import Wish, publish_single
from seqsweep.errors import ConfigError, SeqsweepError, UsageError, without_password
from seqsweep.protocol import Complete, Failed, Infeasible, Interrupted, LocalContext, Outcome, Slot

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from seqsweep.tracking.apart import RecorderApart
    from seqsweep.training import Built


@dataclass
class _Terminal(LocalContext):
    """A run's context that says each validation's value, one line each."""

    metric: str = ""

    def report(self, value: float, step: int) -> bool:
        """Print the value; go on."""
        print(f"step {step:>7}  {self.metric} {value:.4f}", flush=True)
        return True


class Stopped(SeqsweepError):
    """Ctrl-C ended the run; its checkpoint stands."""

    exit_code = 130


def build(config: DictConfig) -> Built:
    """Everything a run needs. Raises UsageError; writes nothing."""
    from seqsweep import training
    from seqsweep.cli.composing import plain
    from seqsweep.tracking.stores import check_server, check_store

    resolved = plain(config)
    built = training.build(resolved)
    uri = resolved["tracking"]["uri"] or paths.tracking_uri()
    experiment = resolved["tracking"]["experiment"]
    check_store(uri, paths.artifacts(), experiment)
    check_server(uri, experiment)
    _check_model(Wish.of(resolved["tracking"]), uri, built)
    return built


def run(built: Built) -> float | None:
    """Train in Hydra's run folder; returns the best value of the task's metric.

    Raises SeqsweepError if the run failed, Stopped after Ctrl-C.
    """
    from hydra.core.hydra_config import HydraConfig

    from seqsweep import training
    from seqsweep.cli.ending import look, train_command
    from seqsweep.data import SequenceData
    from seqsweep.tracking import Spool
    from seqsweep.tracking.mlflow_store import import_beside
    from seqsweep.tracking.provenance import keep_diff

    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    goal = replace(training.Goal.of(built.task), binding=False)
    name = f"{hydra.runtime.choices.get('model')} {hydra.runtime.choices.get('data')}"
    if isinstance(built.data, SequenceData):
        print(f"data    {built.data.summary()}", flush=True)
    # In a worker of our launcher the variable holds the slot's share.
    slot = Slot(id=0, threads=int(os.environ.get("OMP_NUM_THREADS", "1")))
    context = _Terminal(directory, slot=slot, metric=goal.metric)
    threads = slot.threads if built.config.get("threads") is None else None
    again = train_command(hydra, list(hydra.overrides.task), threads)
    tags = {"seqsweep.train_again": without_password(again)}  # of a grid, this one alone
    tracking = built.config["tracking"]
    recorder = begin_record(tracking, directory, name, tags)
    try:
        with Spool(directory) as spool, _stop_on_interrupt(context):
            for diff in keep_diff(directory):
                spool.log_artifact(diff)
            outcome = training.train(built, context=context, tracker=spool, goal=goal)
        if (wish := Wish.of(tracking)).log:
            import_beside()  # while the record is completed
    finally:
        recorder.close()
    value = _value(outcome, directory)
    for key, number in (outcome.detail or {}).items() if isinstance(outcome, Complete) else ():
        print(f"best {key:<20} {number:.4f}")
    print(f"folder: {directory}")
    print(f"run:    {recorder.run_id}")
    uri = tracking["uri"] or paths.tracking_uri()
    if model := publish_single(wish, uri, recorder.run_id, directory):
        print(f"model:  {model}")
    print(f"look:   {look(tracking['uri'])}")
    return value


def _check_model(wish: Wish, uri: str, built: Built) -> None:
    """Whether the run's model can be registered, if that is wished for. Raises UsageError."""
    if wish.register is None:
        return
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from seqsweep.serving.kinds import form_for

    form_for(built.data)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ConfigError(
            f"tracking.register={wish.register}: expected null in a grid, which knows no best run; "
            "`seqsweep sweep` registers a study's best, `seqsweep register RUN NAME` any run"
        )
    wish.check(uri)


def begin_record(tracking: dict[str, Any], directory: Path, name: str, tags: dict[str, str]) -> RecorderApart:
    """The writer of the run in `directory` into the configured MLflow store."""
    from seqsweep.tracking.apart import RecorderApart

    uri = tracking["uri"] or paths.tracking_uri()
    return RecorderApart(uri, tracking["experiment"], paths.artifacts(), directory, name=name, tags=tags)


@contextmanager
def _stop_on_interrupt(context: LocalContext) -> Iterator[None]:
    """First Ctrl-C: stop at the next chance. Second: stop now."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        if context.interrupted:
            raise KeyboardInterrupt
        context.interrupted = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _value(outcome: Outcome, directory: Path) -> float | None:
    if isinstance(outcome, Complete):
        return outcome.values[0] if outcome.values else None
    if isinstance(outcome, Interrupted):
        raise Stopped(f"interrupted; what was done stands in {directory}")
    if isinstance(outcome, Failed):
        kind = UsageError if outcome.usage else SeqsweepError
        raise kind(f"the run failed: {outcome.text} (traceback: {directory / 'error.txt'})")
    if isinstance(outcome, Infeasible):
        raise SeqsweepError(f"the configuration does not work here: {outcome.reason}")
    return None
