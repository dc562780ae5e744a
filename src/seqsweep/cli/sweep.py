"""``hydra/sweeper=seqsweep``: puts study, executor, record and view together and runs the loop.

Nothing is written until everything that can be checked has been: the study
file, the search space, the stores, and every corner of the space.
"""

from __future__ import annotations

import dataclasses
import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from seqsweep import paths
from seqsweep.cli import foreign, leftover, publishing
from seqsweep.cli.executors import open_executor
from seqsweep.cli.hydra_job import Application
from seqsweep.cli.launcher_executor import LauncherExecutor
from seqsweep.cli.plan import Plan
from seqsweep.cli.recording import Recording
from seqsweep.cli.stacks import Stacks
from seqsweep.cli.trials import ApplicationTrials, OwnTrials, Trials
from seqsweep.errors import RecordError, SeqsweepError, StudyChangedError, StudyError
from seqsweep.launching import LocalExecutor
from seqsweep.protocol import Complete, Executor, Job
from seqsweep.reporting import finding
from seqsweep.sweeping import DriverLock, Loop, Study, connect
from seqsweep.tracking.mlflow_store import import_beside

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig
    from optuna.storages import BaseStorage

    from seqsweep.sweeping.study import Suggestion

DRY_RUN_TRIALS = 5


def sweep(config: DictConfig, context: HydraContext, function: TaskFunction) -> dict[str, Any]:
    """Run the study that ``hydra.sweeper`` describes, or go on with it; returns its best trial.

    Raises UsageError before anything is written, SeqsweepError if no trial completed,
    RecordError if the tracking store could not take all of its record, SystemExit(130)
    after Ctrl-C.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its progress lines would break our view
    plan = Plan.read(Application(config, context, function))
    if config.hydra.sweeper.get("dry_run"):
        return _dry_run(plan.checking())
    try:
        return _run(plan)
    except StudyChangedError:
        if plan.on_change == "frozen":
            return _Driver(_as_it_began(plan)).run()
        if plan.on_change == "fresh":
            return _run_fresh(plan)
        raise


def _run(plan: Plan) -> dict[str, Any]:
    if not plan.conf.exists:
        return _Driver(plan.checking()).run()
    storage = connect(str(plan.settings.storage))  # kept: each that is new reads all trials anew
    return _Driver(plan.resumed() if _has_begun(plan, storage) else plan.checking(), storage).run()


def _has_begun(plan: Plan, storage: BaseStorage) -> bool:
    """Whether trials have begun; a copy without them is left from a study that was removed."""
    try:
        stored = optuna.load_study(study_name=plan.settings.name, storage=storage)
    except KeyError:
        return False
    return any(trial.state != TrialState.WAITING for trial in stored.get_trials(deepcopy=False))


def _as_it_began(plan: Plan) -> Plan:
    if not plan.conf.exists:
        raise StudyError(
            f"hydra.sweeper.on_change=frozen: {plan.conf.folder} is not there any more: "
            "expected the copy of the configuration that the study began with"
        )
    return plan.as_it_began()


def _run_fresh(plan: Plan) -> dict[str, Any]:
    """Run the changed study as NAME-2, or the first such name that is free or the same study."""
    for count in itertools.count(2):
        try:
            return _run(plan.renamed(f"{plan.settings.name}-{count}"))
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

    def __init__(self, plan: Plan, storage: BaseStorage | None = None) -> None:
        """With the study's `storage`, if it is connected already."""
        self.plan = plan
        self._storage = storage
        self.trials = _trials(plan)
        self.peak_memory = 0
        self.left_over: RecordError | None = None
        self.ranked = False
        self.study: Study
        self.stacks: Stacks

    def run(self) -> dict[str, Any]:
        from seqsweep.tracking.stores import check_server, check_store

        plan = self.plan
        uri = plan.tracking["uri"] or paths.tracking_uri()
        check_store(uri, paths.artifacts(), plan.tracking["experiment"])
        check_server(uri, plan.tracking["experiment"])
        wish = publishing.Wish.of(plan.tracking)
        wish.check(uri)
        if str(plan.settings.storage) == paths.study_storage():  # one that was typed may be mistyped
            paths.home().mkdir(parents=True, exist_ok=True)
        foreign.check_stores(plan.application.config.hydra.launcher, self._embedded(uri))
        if self._finished_before():
            with Recording(plan, self.study, self.trials) as recording:
                recording.finish(interrupted=False)
            self.left_over = recording.left_over
            return self._conclude(interrupted=False)
        with ExitStack() as stack:
            executor: Executor = stack.enter_context(_open_workers(plan))
            import_beside("seqsweep.reporting.report.page")  # while the workers import torch
            self.trials.check(executor)
            storage = self._connected()  # before the lock makes the study's folder
            stack.enter_context(DriverLock(plan.folder))
            self.study = self._open(storage)
            self._freeze()
            if plan.batch is not None:
                executor = stack.enter_context(self._other_launcher(plan.batch))
            self.study.optuna.set_user_attr("seqsweep.threads", executor.slots()[0].threads)
            interrupted = self._loop(executor)
        return self._conclude(interrupted)

    def _embedded(self, tracking: str) -> dict[str, Path | None]:
        """The files of the stores that are no servers, by the key that sets each."""
        from seqsweep.tracking.stores import embedded_file

        storage = str(self.plan.settings.storage)
        return {"hydra.sweeper.storage": embedded_file(storage), "tracking.uri": embedded_file(tracking)}

    def _other_launcher(self, batch: int) -> LauncherExecutor:
        """The launcher that Hydra was told to use; it composes the trials from the copy, as ours does."""
        application = self.plan.application
        print(foreign.notice(application.config, batch))
        return LauncherExecutor.of(application, self.plan.folder, batch)

    def _finished_before(self) -> bool:
        """Whether there is nothing left to do; then no worker is started."""
        if not (self.plan.folder / paths.STATE).is_dir():
            return False
        with DriverLock(self.plan.folder):
            self.study = self._open(self._connected())
        spent = len(self.study.finished()) >= min(self.plan.budget.n_trials, self.study.size)
        return spent and self._tested() and publishing.is_published(self.plan, self.study)

    def _connected(self) -> BaseStorage:
        self._storage = self._storage or connect(str(self.plan.settings.storage))
        return self._storage

    def _open(self, storage: BaseStorage) -> Study:
        study = Study.open(dataclasses.replace(self.plan.settings, storage=storage), self.plan.space)
        study = self._same(study)
        study.enqueue(self.plan.enqueue)
        study.optuna.set_user_attr("seqsweep.n_trials", self.plan.budget.n_trials)
        study.optuna.set_user_attr("seqsweep.folder", str(self.plan.folder))
        finding.remember(self.plan.folder, str(self.plan.settings.storage))
        study.optuna.set_user_attr("seqsweep.tracking", self.plan.tracking["uri"])
        return study

    def _same(self, study: Study) -> Study:
        """The study, if it began as it is now, or may be extended to it.

        Raises StudyChangedError, with the differences, if it began otherwise.
        """
        now = self.plan.identity
        began = study.optuna.user_attrs.get("seqsweep.identity")
        if began is None or not study.trials():
            study.optuna.set_user_attr("seqsweep.identity", now)
            return study
        changed = [key for key in sorted(now.keys() | began.keys()) if now.get(key) != began.get(key)]
        if not changed:
            return study
        lines = [
            f"  {key}: {began.get(key, '(not there)')} -> {now.get(key, '(not there)')}" for key in changed
        ]
        if self.plan.on_change == "extend":
            return self._extended(study, changed, lines)
        name = self.plan.settings.name
        raise StudyChangedError(
            f"study '{name}' has changed since it began:\n" + "\n".join(lines) + "\n"
            "give what it began with, or hydra.sweeper.on_change=frozen (go on as it began), "
            f"hydra.sweeper.on_change=fresh (a new study {name}-2), "
            "hydra.sweeper.on_change=extend (widen its ranges and keep its trials)"
        )

    def _extended(self, study: Study, changed: list[str], lines: list[str]) -> Study:
        """The study with its trials, searching the wider space. Raises StudyError for other changes."""
        others = [line for key, line in zip(changed, lines, strict=True) if not key.startswith("searched.")]
        enumerating = type(study.optuna.sampler).__name__ == "GridSampler"
        if others or enumerating:
            what = "a grid that was begun is not widened" if enumerating else "\n".join(others)
            raise StudyError(
                "hydra.sweeper.on_change=extend widens the ranges of what is searched and nothing else:\n"
                f"{what}\nhydra.sweeper.on_change=fresh begins a new study"
            )
        wider = study.extended(self.plan.space, {"seqsweep.identity": self.plan.identity})
        self.plan.conf.write(self.plan.live, extend=True)
        return wider

    def _freeze(self) -> None:
        """From now on trials are composed from the study's copy of its configuration files."""
        leftover.set_aside(self.plan.folder, self.study)
        if not (self.plan.conf.exists and self.study.begun):
            self.plan.conf.write(self.plan.live)
        self.plan = self.plan.freeze()
        self.trials = _trials(self.plan)

    def _what_changed(self) -> list[str]:
        """What a person should know of before the study goes on: files and code that are not as they were."""
        from seqsweep.tracking.provenance import code_version

        conf, attributes = self.plan.conf, self.study.optuna.user_attrs
        said = [
            f"{file} has changed since the study began; its trials go on with the copy in {conf.folder}"
            for file in conf.edited(self.plan.live)
        ]
        now = code_version(Path.cwd())
        began = attributes.get("seqsweep.code")
        if began is None:
            self.study.optuna.set_user_attr("seqsweep.code", now)
        elif began != now:
            said.append(f"the code has changed since the study began: {began} -> {now}")
        return said

    def _loop(self, executor: Executor) -> bool:
        """Run the trials; whether Ctrl-C ended it."""
        with Recording(self.plan, self.study, self.trials) as recording:
            self.stacks = Stacks(executor, recording.message)
            loop = Loop(self.study, executor, self._job, self.plan.budget, [recording])
            with _interruptible(loop, executor):
                with recording.view:
                    for line in self._what_changed():
                        recording.message(line)
                    loop.run()
                recording.hasten()
                if not loop.stopping:
                    if not self._tested():
                        self._test_best(executor, recording)
                    self._show()
            recording.finish(interrupted=loop.stopping)
        self.peak_memory = recording.peak_memory
        self.left_over = recording.left_over
        if not (loop.stopping or self.left_over):
            self.left_over = publishing.publish_best(self.plan, self.study, self.trials, executor)
        return loop.stopping

    def _job(self, suggestion: Suggestion) -> Job:
        folder = self.plan.folder / str(suggestion.number)
        folder.mkdir(parents=True, exist_ok=True)
        return self.stacks.seated(self.trials.job(suggestion, folder))

    def _tested(self) -> bool:
        """In a study only the best trial meets the test data, once, at the end."""
        best = self.study.best()
        return best is None or self.study.optuna.user_attrs.get("seqsweep.tested") == best.number

    def _test_best(self, executor: Executor, recording: Recording) -> None:
        best = self.study.best()
        assert best is not None
        folder = self.plan.folder / str(best.number)
        outcome = self.trials.test(executor, best, folder, beside=self._meanwhile)  # it takes seconds
        recording.follow(best.number, best.params)  # its record was complete; it has grown
        if outcome is not None and not isinstance(outcome, Complete):
            recording.message(f"testing the best trial, {best.number}, failed: {outcome}")
            return
        self.study.optuna.set_user_attr("seqsweep.test", outcome.detail if outcome else {})
        self.study.optuna.set_user_attr("seqsweep.tested", best.number)

    def _meanwhile(self) -> None:
        """What need not wait for the test."""
        from seqsweep.cli import report

        self._show()
        report.prepare()

    def _show(self) -> None:
        """Show the leaderboard. If nobody reads it, that is said when all is done."""
        with suppress(OSError, UnicodeError, SystemExit):
            self._rank()

    def _rank(self) -> None:
        """Show the leaderboard, once."""
        from seqsweep.cli import ending

        if not self.ranked:
            ending.table(self.plan, self.study)
            self.ranked = True

    def _conclude(self, interrupted: bool) -> dict[str, Any]:
        from seqsweep.cli import ending

        if interrupted:
            print(f"interrupted; the same command goes on with study '{self.plan.settings.name}'")
            if self.left_over:
                print(f"seqsweep: {self.left_over}", file=sys.stderr)
            self._report()
            raise SystemExit(130)
        self._rank()
        ending.rest(self.plan, self.study, self.peak_memory)
        self._report()
        best = self.study.best()
        if best is None:
            raise SeqsweepError(f"no trial of study '{self.plan.settings.name}' completed")
        if self.left_over:
            raise self.left_over
        if self.study.single:
            return {"name": "optuna", "best_params": best.params, "best_value": best.values[0]}
        front = [{"params": trial.params, "values": trial.values} for trial in self.study.front()]
        return {"name": "optuna", "solutions": front}

    def _report(self) -> None:
        from seqsweep.cli import report

        uri = self.plan.tracking["uri"] or paths.tracking_uri()
        # a store that was away just now is not asked again
        report.at_the_end(self.study.optuna, self.plan.folder, None if self.left_over else uri)


def _open_workers(plan: Plan) -> LocalExecutor:
    """Our own workers; where another launcher runs the trials, one to check their configurations in."""
    native = plan.application.native
    if plan.batch is not None:
        return foreign.open_checker(native)
    return open_executor(plan.application.config.hydra.launcher, native, stacks=native)


def _trials(plan: Plan) -> Trials:
    return OwnTrials(plan) if plan.application.native else ApplicationTrials(plan)


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
