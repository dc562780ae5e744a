"""``hydra/sweeper=seqsweep``: puts study, executor, record and view together and runs the loop.

Nothing is written until everything that can be checked has been: the study
file, the search space, the stores, and every corner of the space.
"""

from __future__ import annotations

import dataclasses
import itertools
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import optuna

from seqsweep import paths
from seqsweep.cli.executors import open_executor
from seqsweep.cli.plan import Plan
from seqsweep.cli.recording import Recording
from seqsweep.cli.trials import ApplicationTrials, OwnTrials, Trials
from seqsweep.errors import SeqsweepError, StudyChangedError
from seqsweep.protocol import Complete, Executor, Job
from seqsweep.sweeping import DriverLock, Loop, Study, connect

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig
    from optuna.storages import BaseStorage

    from seqsweep.sweeping.study import Suggestion

DRY_RUN_TRIALS = 5


def sweep(
    config: DictConfig, arguments: Sequence[str], context: HydraContext, function: TaskFunction
) -> dict[str, Any]:
    """Run the study that ``hydra.sweeper`` describes, or go on with it; returns its best trial.

    Raises UsageError before anything is written, SeqsweepError if no trial completed,
    SystemExit(130) after Ctrl-C.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its progress lines would break our view
    plan = Plan.read(config, arguments, context, function)
    if config.hydra.sweeper.get("dry_run"):
        return _dry_run(plan)
    try:
        return _Driver(plan).run()
    except StudyChangedError:
        if plan.on_change == "stop":
            raise
    return _run_fresh(plan)


def _run_fresh(plan: Plan) -> dict[str, Any]:
    """Run the changed study as NAME-2, or the first such name that is free or the same study."""
    for count in itertools.count(2):
        try:
            return _Driver(plan.renamed(f"{plan.settings.name}-{count}")).run()
        except StudyChangedError:
            continue
    raise AssertionError("unreachable")


def _dry_run(plan: Plan) -> dict[str, Any]:
    study = Study.open(dataclasses.replace(plan.settings, storage=None), plan.space)
    study.enqueue(plan.enqueue)
    for _ in range(min(DRY_RUN_TRIALS, plan.budget.n_trials)):
        suggestion = study.ask()
        plan.compose(suggestion.number, suggestion.values)
        print(f"trial {suggestion.number}: {' '.join(plan.space.overrides(suggestion.values))}")
    print("nothing was trained and nothing written (--dry-run)")
    return {"name": plan.settings.name}


class _Driver:
    """One command's work on a study."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.trials: Trials = OwnTrials(plan) if plan.application.native else ApplicationTrials(plan)
        self.peak_memory = 0
        self.study: Study

    def run(self) -> dict[str, Any]:
        from seqsweep.tracking.stores import check_server, check_store

        plan = self.plan
        uri = plan.tracking["uri"] or paths.tracking_uri()
        check_store(uri, paths.artifacts())
        check_server(uri)
        if self._finished_before():
            with Recording(plan, self.study, self.trials) as recording:
                recording.finish(interrupted=False)
            return self._conclude(interrupted=False)
        with ExitStack() as stack:
            launcher = plan.application.config.hydra.launcher
            executor = stack.enter_context(open_executor(launcher, plan.application.native))
            self.trials.check(executor)
            storage = connect(str(plan.settings.storage))
            stack.enter_context(DriverLock(plan.folder))
            self.study = self._open(storage)
            self.study.optuna.set_user_attr("seqsweep.threads", executor.slots()[0].threads)
            interrupted = self._loop(executor)
        return self._conclude(interrupted)

    def _finished_before(self) -> bool:
        """Whether there is nothing left to do; then no worker is started."""
        if not (self.plan.folder / paths.STATE).is_dir():
            return False
        with DriverLock(self.plan.folder):
            self.study = self._open(connect(str(self.plan.settings.storage)))
        spent = len(self.study.finished()) >= min(self.plan.budget.n_trials, self.study.size)
        return spent and self._tested()

    def _open(self, storage: BaseStorage) -> Study:
        study = Study.open(dataclasses.replace(self.plan.settings, storage=storage), self.plan.space)
        self._check_identity(study)
        study.enqueue(self.plan.enqueue)
        study.optuna.set_user_attr("seqsweep.n_trials", self.plan.budget.n_trials)
        study.optuna.set_user_attr("seqsweep.folder", str(self.plan.folder))
        return study

    def _check_identity(self, study: Study) -> None:
        """Raise StudyChangedError, with the differences, if the stored study began otherwise."""
        now = self.plan.identity
        began = study.optuna.user_attrs.get("seqsweep.identity")
        if began is None or not study.trials():
            study.optuna.set_user_attr("seqsweep.identity", now)
            return
        changed = [key for key in sorted(now.keys() | began.keys()) if now.get(key) != began.get(key)]
        if changed:
            lines = [
                f"  {key}: {began.get(key, '(not there)')} -> {now.get(key, '(not there)')}"
                for key in changed
            ]
            name = self.plan.settings.name
            raise StudyChangedError(
                f"study '{name}' has changed since it began:\n" + "\n".join(lines) + "\n"
                "give what it began with to go on, hydra.sweeper.on_change=fresh for a new study "
                f"{name}-2, or another hydra.sweeper.study_name"
            )

    def _loop(self, executor: Executor) -> bool:
        """Run the trials; whether Ctrl-C ended it."""
        with Recording(self.plan, self.study, self.trials) as recording:
            loop = Loop(self.study, executor, self._job, self.plan.budget, [recording])
            with _interruptible(loop, executor):
                with recording.view:
                    loop.run()
                if not loop.stopping and not self._tested():
                    self._test_best(executor, recording)
            recording.finish(interrupted=loop.stopping)
        self.peak_memory = recording.peak_memory
        return loop.stopping

    def _job(self, suggestion: Suggestion) -> Job:
        folder = self.plan.folder / str(suggestion.number)
        folder.mkdir(parents=True, exist_ok=True)
        return self.trials.job(suggestion, folder)

    def _tested(self) -> bool:
        """In a study only the best trial meets the test data, once, at the end."""
        best = self.study.best()
        return best is None or self.study.optuna.user_attrs.get("seqsweep.tested") == best.number

    def _test_best(self, executor: Executor, recording: Recording) -> None:
        best = self.study.best()
        assert best is not None
        folder = self.plan.folder / str(best.number)
        outcome = self.trials.test(executor, best, folder)
        recording.follow(best.number, best.params)  # its record was complete; it has grown
        if outcome is not None and not isinstance(outcome, Complete):
            recording.message(f"testing the best trial, {best.number}, failed: {outcome}")
            return
        self.study.optuna.set_user_attr("seqsweep.test", outcome.detail if outcome else {})
        self.study.optuna.set_user_attr("seqsweep.tested", best.number)

    def _conclude(self, interrupted: bool) -> dict[str, Any]:
        from seqsweep.cli import ending

        if interrupted:
            print(f"interrupted; the same command goes on with study '{self.plan.settings.name}'")
            raise SystemExit(130)
        ending.show(self.plan, self.study, self.peak_memory)
        best = self.study.best()
        if best is None:
            raise SeqsweepError(f"no trial of study '{self.plan.settings.name}' completed")
        return {"name": "optuna", "best_params": best.params, "best_value": best.values[0]}


@contextmanager
def _interruptible(loop: Loop, executor: Executor) -> Iterator[None]:
    """First Ctrl-C: no new trials, running ones write a checkpoint. Second: stop now."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        if loop.stopping:
            executor.close()
            raise KeyboardInterrupt
        loop.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
