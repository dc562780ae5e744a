"""Recording: the observer that keeps MLflow's record and the terminal's view of a running study."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.cli import ending, parent_run
from seqsweep.errors import RecordError, without_password
from seqsweep.protocol import Complete, Ended, Job, Outcome, Slot
from seqsweep.reporting.importance import importance
from seqsweep.reporting.leaderboard import leaderboard
from seqsweep.reporting.live import LiveView
from seqsweep.tracking import Recorder, Spool
from seqsweep.tracking.following import last_end

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from seqsweep.cli.plan import Plan
    from seqsweep.cli.trials import Trials
    from seqsweep.sweeping import Study
    from seqsweep.sweeping.study import Suggestion


REST = 60.0
"""Seconds between two looks at all trials, at least."""


class Recording:
    """An `Observer`; entered for the time a study is worked on."""

    def __init__(self, plan: Plan, study: Study, trials: Trials) -> None:
        self._plan, self._study, self._trials = plan, study, trials
        self._spools: dict[int, Spool] = {}
        self.peak_memory = 0
        """Largest resident size of a worker so far, in bytes."""
        self.left_over: RecordError | None = None
        """At the end, what the tracking store does not have."""
        self._away = False
        self._closer_look = time.monotonic() + REST
        done = [row for row in leaderboard(study.optuna) if row.state not in ("running", "waiting")]
        self._states = {row.trial: row.state for row in done}
        self._counts = Counter(self._states.values())
        self.view = LiveView(
            plan.budget.n_trials,
            plan.settings.directions[0],
            plan.settings.metrics,
            done=done,
        )

    def __enter__(self) -> Recording:
        tracking = self._plan.tracking
        uri = tracking["uri"] or paths.tracking_uri()
        record = parent_run.study_record(self._plan, self._study)
        self._threads = int(self._study.optuna.user_attrs.get("seqsweep.threads", 1))
        self._command = ending.commands(self._plan, self._threads)
        self._recorder = Recorder(uri, tracking["experiment"], paths.artifacts(), record)
        # What a killed driver had not drained is drained now; a folder with nothing new costs little.
        for trial in self._study.finished():
            self._catch_up(trial)
            self.follow(trial.number, trial.params)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self._spools.values():  # of trials that were interrupted
            spool.close()
        try:
            self._recorder.close()
        except RecordError as problem:  # the study itself is whole: its end is shown first
            self.left_over = problem
        else:
            self.ticked()

    def follow(self, number: int, values: Mapping[str, object]) -> None:
        """Begin, or take up again, the record of a trial."""
        plan = self._plan
        name = f"{plan.settings.name}/{number}"
        tags = {"seqsweep.train_again": without_password(self._command(values))}
        self._recorder.follow(plan.folder / str(number), name, tags=tags, params=values, trial=number)

    def submitted(self, suggestion: Suggestion, job: Job, slot: Slot) -> None:
        """An attempt at a trial begins."""
        if suggestion.attempt > 1 and last_end(Path(job.directory)):
            with Spool(Path(job.directory)) as begun:  # else its record would count as complete already
                begun.begin()
        self.follow(suggestion.number, suggestion.values)
        if not self._trials.self_recording:
            spool = self._spools[suggestion.number] = Spool(Path(job.directory))
            spool.log_params(suggestion.values)
        self.view.started(suggestion.number, suggestion.values)

    def reported(self, suggestion: Suggestion, value: float, step: int) -> None:
        """A running trial handed in an intermediate value."""
        self.view.report(suggestion.number, value, step)
        if spool := self._spools.get(suggestion.number):
            spool.log_metrics({self._plan.settings.metrics[0]: value}, step)

    def ended(self, suggestion: Suggestion, state: str, outcome: Outcome, event: Ended | None) -> None:
        """A trial is over."""
        self._counts[state] += 1
        if event is not None:
            self.peak_memory = max(self.peak_memory, event.peak_memory)
        values = outcome.values if isinstance(outcome, Complete) else ()
        self._close_run(suggestion.number, state, values)
        text = str(getattr(outcome, "text", "") or getattr(outcome, "reason", ""))
        self.view.ended(suggestion.number, state, values, event.seconds if event else 0.0, text)
        self.summary()

    def copied(self, suggestion: Suggestion, original: FrozenTrial) -> None:
        """A Run of its own, that says whose values it has."""
        self._counts["complete"] += 1
        folder = self._plan.folder / str(suggestion.number)
        folder.mkdir(parents=True, exist_ok=True)
        with Spool(folder) as spool:
            spool.log_params(suggestion.values)
            spool.set_tags({"seqsweep.copy_of": str(original.number)})
            spool.log_metrics(self._best(original.values), 0)
            spool.end("complete")
        self.follow(suggestion.number, suggestion.values)
        self.view.started(suggestion.number, suggestion.values)
        self.view.ended(suggestion.number, "complete", original.values, 0.0)
        self.view.message(
            f"trial {suggestion.number} is a copy of trial {original.number}, not trained again"
        )
        self.summary()

    def _best(self, values: Sequence[float]) -> dict[str, float]:
        return {
            f"best/{metric}": value
            for metric, value in zip(self._plan.settings.metrics, values, strict=False)
        }

    def _catch_up(self, trial: FrozenTrial) -> None:
        """Close the record of a trial whose driver was killed between telling the study and doing that."""
        folder, state = self._plan.folder / str(trial.number), self._states[trial.number]
        if last_end(folder) == state:
            return
        if not self._trials.self_recording:
            spool = self._spools[trial.number] = Spool(folder)
            spool.log_params(trial.params)
            for step, value in trial.intermediate_values.items():
                spool.log_metrics({self._plan.settings.metrics[0]: value}, step)
        self._close_run(trial.number, state, trial.values if state == "complete" else ())

    def _close_run(self, number: int, state: str, values: Sequence[float]) -> None:
        """Its end in the record: a worker that was killed could not say it, another application does not."""
        folder = self._plan.folder / str(number)
        if self._trials.self_recording and last_end(folder) == state:
            return
        spool = self._spools.pop(number, None) or Spool(folder)
        with spool:
            if not self._trials.self_recording and values:
                spool.log_metrics(self._best(values), 0)
            elif state in ("failed", "infeasible"):
                # A worker that was killed could not hand over what it had written.
                for file in (folder / name for name in ("config.yaml", "data.json", "best.ckpt")):
                    if file.is_file():
                        spool.log_artifact(file)
            spool.end(state)  # type: ignore[arg-type]  # one of the four states

    def ticked(self) -> None:
        """Say once that the tracking store is away, and once that it is back."""
        problem = self._recorder.problem
        if problem and not self._away:
            self.message(f"tracking store: {problem}; records wait in the trials' folders")
        elif self._away and not problem:
            self.message("tracking store: it takes records again")
        self._away = problem is not None

    def message(self, text: str) -> None:
        """Something a person should know of."""
        self.view.message(text)

    def summary(self) -> None:
        """Bring the parent Run up to date: counts by state, the best so far; now and then all the rest."""
        metrics: dict[str, float] = {f"trials/{state}": count for state, count in self._counts.items()}
        tags = {}
        if best := self._study.best():
            metrics |= self._best(best.values)
            tags["seqsweep.best_trial"] = str(best.number)
        if not self._study.single:
            tags["seqsweep.front"] = ", ".join(str(trial.number) for trial in self._study.front())
        self._recorder.study(metrics=metrics, tags=tags, step=self._counts.total())
        if time.monotonic() >= self._closer_look:
            self._look_closer()

    def _look_closer(self) -> None:
        """What takes a look at all trials: importance, and the description with the best of them."""
        began = time.monotonic()
        try:
            found = importance(self._study.optuna)
            shares = {f"importance/{name}": share for name, share in found.items()}
            tags = {parent_run.NOTE: parent_run.note(self._plan, self._study, self._threads)}
        except Exception as error:  # whatever it is, the study goes on
            self.message(f"the study's Run has no importances: {type(error).__name__}: {error}")
        else:
            self._recorder.study(metrics=shares, tags=tags, step=self._counts.total())
        ended = time.monotonic()
        self._closer_look = ended + max(REST, 100 * (ended - began))  # one part in a hundred at most

    def hasten(self) -> None:
        """No trial runs any more: what there is to record need not wait for the end."""
        self._recorder.wake()

    def finish(self, interrupted: bool) -> None:
        """The study is over, or over for now."""
        self.summary()
        self._look_closer()
        if tested := self._study.optuna.user_attrs.get("seqsweep.test"):
            self._recorder.study(metrics=tested, step=self._counts.total())
        self._recorder.finish("interrupted" if interrupted else "complete")
