"""What a trial is made of: our own training task, or another application's function.

The driver is the same for both; this is all that differs. A job for another launcher
than ours (`seqsweep.cli.foreign`) has the trial's overrides for payload.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from seqsweep.cli import foreign, hydra_job
from seqsweep.cli.composing import plain
from seqsweep.cli.publishing import Wish
from seqsweep.errors import ConfigError, SeqsweepError
from seqsweep.protocol import Complete, Ended, Executor, Failed, Job, Outcome, SlotLost
from seqsweep.tracking.following import last_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna.trial import FrozenTrial

    from seqsweep.cli.plan import Plan
    from seqsweep.sweeping.study import Suggestion


def _nothing() -> None:
    pass


class Trials(Protocol):
    """How the trials of a study are checked, run and tested."""

    self_recording: bool
    """Whether a job writes its own spool; otherwise the driver writes what it hears of it."""

    def check(self, executor: Executor) -> None:
        """Try every corner of the space. Raises ConfigError for what cannot work; writes nothing."""

    def job(self, suggestion: Suggestion, folder: Path) -> Job:
        """One attempt at a trial."""

    def test(
        self, executor: Executor, best: FrozenTrial, folder: Path, beside: Callable[[], None] = _nothing
    ) -> Outcome | None:
        """Let the best trial meet the test data; None where there is none. Meanwhile `beside` is called."""

    def describe(self, executor: Executor, best: FrozenTrial, folder: Path) -> Outcome | None:
        """Describe the best trial's model, as `seqsweep.serving.jobs.describe`; None where there is none."""


class OwnTrials:
    """Trials of seqsweep's own tasks."""

    self_recording = True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def check(self, executor: Executor) -> None:
        """Build them all in a worker, where torch is; this also prepares the data once for all."""
        configs = [plain(self._plan.application.compose(corner, 0)) for corner in self._plan.space.corners()]
        payload = {"configs": configs, "metrics": list(self._plan.settings.metrics)}
        whose = "training" if Wish.of(self._plan.tracking).register is None else "serving"
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_one(executor, Job(-1, f"seqsweep.{whose}.jobs:check", payload, folder))
        if isinstance(outcome, Failed):
            raise (ConfigError if outcome.usage else SeqsweepError)(outcome.text)
        if not isinstance(outcome, Complete):
            raise SeqsweepError(f"the study could not be checked: {outcome}")

    def job(self, suggestion: Suggestion, folder: Path) -> Job:
        """Train."""
        return self._job(
            "run", suggestion.number, suggestion.values, folder, suggestion.attempt, goal=self._goal()
        )

    def test(
        self, executor: Executor, best: FrozenTrial, folder: Path, beside: Callable[[], None] = _nothing
    ) -> Outcome | None:
        """Test the best checkpoint; where every trial was tested at its end, what came of that."""
        if self._plan.tracking["test_each"]:
            beside()
            said = last_words(folder)
            return Complete((), {key: float(said[key]) for key in said if key.startswith("test/")})
        attempt = best.user_attrs.get("seqsweep.attempt", 1) + 1
        return run_one(executor, self._job("test", best.number, best.params, folder, attempt), beside)

    def describe(self, executor: Executor, best: FrozenTrial, folder: Path) -> Outcome | None:
        """In a worker of ours, where torch is, whatever launcher runs the trials."""
        attempt = best.user_attrs.get("seqsweep.attempt", 1) + 2
        job = Job(best.number, "seqsweep.serving.jobs:describe", None, str(folder), attempt)
        if self._plan.batch is None:
            return run_one(executor, job)
        with foreign.open_checker(native=True) as ours:
            return run_one(ours, job)

    def _job(
        self, name: str, number: int, values: dict[str, Any], folder: Path, attempt: int, **rest: Any
    ) -> Job:
        if self._plan.batch is not None:
            overrides = self._plan.space.overrides(values)
            return Job(number, hydra_job.OwnCall(name, rest), overrides, str(folder), attempt)
        payload = {"config": plain(self._plan.compose(number, values)), **rest}
        entry, asks = f"seqsweep.training.jobs:{name}", self._plan.settings.prunes
        return Job(number, entry, payload, str(folder), attempt, asks=asks)

    def _goal(self) -> dict[str, Any]:
        settings = self._plan.settings
        return {
            "metric": settings.metrics[0],
            "direction": settings.directions[0],
            "also": list(settings.metrics[1:]),
            "test": bool(self._plan.tracking["test_each"]),
            "report": True,
        }


class ApplicationTrials:
    """Trials that are jobs of another Hydra application: its function returns the value."""

    self_recording = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def check(self, executor: Executor) -> None:
        """Compose them all: a key that the configuration lacks shows here."""
        for corner in self._plan.space.corners():
            self._plan.application.compose(corner, 0)

    def job(self, suggestion: Suggestion, folder: Path) -> Job:
        """Call the function as Hydra would."""
        plan, number = self._plan, suggestion.number
        application, metrics = plan.application, plan.settings.metrics
        entry: Any
        payload: Any
        if plan.batch is not None:
            entry = hydra_job.Call(application.function, metrics)
            payload = plan.space.overrides(suggestion.values)
        else:
            entry = "seqsweep.cli.hydra_job:run_trial"
            payload = application.payload(plan.compose(number, suggestion.values)), metrics
        return Job(number, entry, payload, str(folder), suggestion.attempt)

    def test(
        self, executor: Executor, best: FrozenTrial, folder: Path, beside: Callable[[], None] = _nothing
    ) -> Outcome | None:
        """Nothing is known of another application's test data."""
        beside()
        return None

    def describe(self, executor: Executor, best: FrozenTrial, folder: Path) -> Outcome | None:
        """Nor of its models."""
        return None


def run_one(executor: Executor, job: Job, beside: Callable[[], None] = _nothing) -> Outcome:
    """Run a single job on an idle executor; once more if its worker dies. `beside` is called once it runs."""
    executor.submit(job, executor.slots()[0])
    beside()
    while True:
        for event in executor.poll():
            if isinstance(event, Ended):
                return event.outcome
            if isinstance(event, SlotLost):
                if event.attempt > job.attempt:
                    return Failed(f"{event.reason}, twice")
                executor.submit(replace(job, attempt=job.attempt + 1), executor.slots()[0])
