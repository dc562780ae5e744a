from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from seqsweep.errors import StoreError, StudyError
from seqsweep.launching import ThreadExecutor, make_slots
from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Failed,
    Infeasible,
    Interrupted,
    Job,
    JobContext,
    Outcome,
    Pruned,
    Slot,
    SlotLost,
)
from seqsweep.sweeping import Budget, Loop, SearchSpace, Study, StudySettings
from seqsweep.sweeping.study import Suggestion

SPACE = SearchSpace.parse({"x": "interval(-1.0, 1.0)", "kind": "choice(a, b)"})


def random(seed: int | None) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=7 if seed is None else seed)


def tpe(seed: int | None) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=7 if seed is None else seed, n_startup_trials=3)


def open_study(
    storage: str,
    sampler: Callable[[int | None], optuna.samplers.BaseSampler] = random,
    pruner: optuna.pruners.BasePruner | None = None,
    space: SearchSpace = SPACE,
    direction: str | tuple[str, ...] = "minimize",
) -> Study:
    directions = (direction,) if isinstance(direction, str) else direction
    metrics = ("loss", "size")[: len(directions)]
    chosen = StudySettings(
        "study", storage, metrics, directions, sampler, pruner or optuna.pruners.NopPruner(), seed=7
    )
    return Study.open(chosen, space)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


def run(
    study: Study,
    entry: Callable[[Any, JobContext], Outcome],
    budget: Budget,
    folder: Path,
    slots: int = 2,
) -> Loop:
    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, entry, suggestion.values, str(folder), suggestion.attempt)

    with ThreadExecutor(make_slots((), cores=slots)) as executor:
        loop = Loop(study, executor, job, budget)
        loop.run()
    return loop


def square(values: dict[str, Any], context: JobContext) -> Outcome:
    return Complete((values["x"] ** 2,))


def test_n_trials_is_a_total(storage: str, tmp_path: Path) -> None:
    run(open_study(storage), square, Budget(5), tmp_path)
    run(open_study(storage), square, Budget(8), tmp_path)
    run(open_study(storage), square, Budget(8), tmp_path)
    study = open_study(storage)
    assert [trial.number for trial in study.finished()] == list(range(8))
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials())


def test_every_outcome_is_told_and_the_study_goes_on(storage: str, tmp_path: Path) -> None:
    def varied(values: dict[str, Any], context: JobContext) -> Outcome:
        match context.trial:
            case 0:
                raise ValueError("no good")
            case 1:
                return Infeasible("out of memory")
            case 2:
                context.report(0.5, 1)
                return Pruned(0.5)
            case 3:
                return Complete((math.nan,))
            case 4:
                raise SystemExit(1)
            case _:
                return square(values, context)

    run(open_study(storage), varied, Budget(8), tmp_path)
    trials = open_study(storage).finished()
    states = [trial.state.name.lower() for trial in trials]
    assert states == ["fail", "pruned", "pruned", "fail", "fail", *["complete"] * 3]
    assert trials[0].user_attrs["seqsweep.error"] == "ValueError: no good"
    assert trials[1].user_attrs["seqsweep.state"] == "infeasible"
    assert trials[1].constraints == {"feasible": 1.0}
    assert trials[2].value == 0.5
    assert "expected one number" in trials[3].user_attrs["seqsweep.error"]


@pytest.mark.parametrize(
    ("pruner", "direction", "expected"),
    [
        (optuna.pruners.NopPruner(), "minimize", False),
        (optuna.pruners.MedianPruner(), "minimize", True),
        (optuna.pruners.MedianPruner(), ("minimize", "maximize"), False),
    ],
)
def test_trials_wait_for_answers_only_where_one_may_be_to_stop(
    storage: str, pruner: optuna.pruners.BasePruner, direction: str | tuple[str, ...], expected: bool
) -> None:
    assert open_study(storage, pruner=pruner, direction=direction).settings.prunes is expected


def test_the_pruner_is_asked_at_each_report(storage: str, tmp_path: Path) -> None:
    def worsening(values: dict[str, Any], context: JobContext) -> Outcome:
        for step in range(10):
            if not context.report(context.trial, step):
                return Pruned(float(context.trial))
        return Complete((float(context.trial),))

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    run(open_study(storage, pruner=pruner), worsening, Budget(4), tmp_path, slots=1)
    states = [trial.state.name.lower() for trial in open_study(storage).finished()]
    assert states == ["complete", "pruned", "pruned", "pruned"]
    assert len(open_study(storage).finished()[1].intermediate_values) == 3


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(20, max_failures=3), 3),
        (Budget(20, patience=4), 5),
        (Budget(20, timeout=1e-9), 0),
    ],
)
def test_other_budgets_end_a_study(storage: str, tmp_path: Path, budget: Budget, expected: int) -> None:
    def entry(values: dict[str, Any], context: JobContext) -> Outcome:
        if budget.max_failures:
            raise ValueError
        return Complete((float(context.trial),))

    run(open_study(storage), entry, budget, tmp_path, slots=1)
    assert len(open_study(storage).finished()) == expected


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("sampler", ["GridSampler", "BruteForceSampler"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_enumerating_samplers_end_when_exhausted(
    storage: str, tmp_path: Path, sampler: str, slots: int
) -> None:
    space = SearchSpace.parse({"x": "range(0, 3)", "kind": "choice(a, b)"})

    def make(seed: int | None) -> optuna.samplers.BaseSampler:
        if sampler == "GridSampler":
            return optuna.samplers.GridSampler(space.grid(), seed=1)
        return optuna.samplers.BruteForceSampler(seed=1)

    for _ in range(2):  # the second time there is nothing left to do
        run(open_study(storage, make, space=space), square, Budget(50), tmp_path, slots=slots)
        finished = open_study(storage, make, space=space).finished()
        assert len(finished) == 6
    if slots == 1:  # those that run at once may be the same to a brute-force search
        assert len({tuple(trial.params.items()) for trial in finished}) == 6


def test_a_grid_of_ones_own_over_an_interval(storage: str, tmp_path: Path) -> None:
    space = SearchSpace.parse({"x": "interval(0.0, 1.0)"})

    def make(seed: int | None) -> optuna.samplers.BaseSampler:
        return optuna.samplers.GridSampler({"x": [0.25, 0.5]}, seed=1)

    run(open_study(storage, make, space=space), square, Budget(9), tmp_path, slots=1)
    assert {trial.params["x"] for trial in open_study(storage, make, space=space).finished()} == {0.25, 0.5}


class DyingExecutor(ThreadExecutor):
    """Loses the worker of chosen attempts."""

    def __init__(self, slots: Sequence[Slot], dies: Callable[[Job], bool]) -> None:
        super().__init__(slots)
        self._dies = dies
        self._lost: list[Event] = []

    def submit(self, job: Job, slot: Slot) -> None:
        if self._dies(job):
            self._lost.append(SlotLost(job.trial, job.attempt, slot.id, "killed"))
        else:
            super().submit(job, slot)

    def poll(self, timeout: float | None = None) -> list[Event]:
        lost, self._lost = self._lost, []
        return lost or super().poll(timeout)


def test_a_lost_worker_is_tried_again_then_failed(storage: str, tmp_path: Path) -> None:
    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, square, suggestion.values, str(tmp_path), suggestion.attempt)

    def dies(job: Job) -> bool:
        return job.trial == 1 or (job.trial == 2 and job.attempt == 1)

    with DyingExecutor(make_slots((), cores=1), dies) as executor:
        Loop(open_study(storage), executor, job, Budget(4, retries=1)).run()
    trials = open_study(storage).finished()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials[1].user_attrs["seqsweep.error"] == "killed, 2 times"
    assert [trial.user_attrs.get("seqsweep.attempt", 1) for trial in trials] == [1, 2, 2, 1]


def test_an_event_of_an_earlier_attempt_is_dropped(storage: str, tmp_path: Path) -> None:
    class Echoing(ThreadExecutor):
        def poll(self, timeout: float | None = None) -> list[Event]:
            events = super().poll(timeout)
            stale = [
                Ended(event.trial, event.attempt - 1, Complete((99.0,)))
                for event in events
                if isinstance(event, Ended)
            ]
            return [*stale, *events, *stale]

    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, square, suggestion.values, str(tmp_path), suggestion.attempt)

    with Echoing(make_slots((), cores=2)) as executor:
        Loop(open_study(storage), executor, job, Budget(4)).run()
    assert all(trial.value != 99.0 for trial in open_study(storage).finished())


def test_a_stopped_study_leaves_its_trials_to_the_next_driver(storage: str, tmp_path: Path) -> None:
    loops: list[Loop] = []

    def stopping(values: dict[str, Any], context: JobContext) -> Outcome:
        if context.trial < 2:
            return square(values, context)
        loops[0].stop()
        while not context.interrupted:
            pass
        return Interrupted()

    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, stopping, suggestion.values, str(tmp_path), suggestion.attempt)

    study = open_study(storage)
    with ThreadExecutor(make_slots((), cores=1)) as executor:
        loops.append(Loop(study, executor, job, Budget(5)))
        loops[0].run()
    (left,) = open_study(storage).trials([TrialState.RUNNING])
    assert left.number == 2

    run(open_study(storage), square, Budget(5), tmp_path)
    trials = open_study(storage).finished()
    assert [trial.number for trial in trials] == list(range(5))
    assert trials[2].params == left.params
    assert trials[2].user_attrs["seqsweep.attempt"] == 2


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(0, 8))
def test_an_interrupted_random_study_asks_what_the_undisturbed_one_asks(cut: int) -> None:
    def asked(*budgets: int) -> list[dict[str, Any]]:
        storage = optuna.storages.InMemoryStorage()
        for budget in budgets:
            study = open_study(storage)  # type: ignore[arg-type]  # Optuna takes either
            run(study, square, Budget(max(budget, 1)), Path(), slots=1)
        return [trial.params for trial in study.finished()]

    assert asked(cut, 8) == asked(8)


@pytest.mark.parametrize("sampler", [random, tpe])
def test_a_reopened_study_does_not_repeat_itself(
    storage: str, tmp_path: Path, sampler: Callable[[int | None], optuna.samplers.BaseSampler]
) -> None:
    for total in (3, 6, 9, 12):
        run(open_study(storage, sampler), square, Budget(total), tmp_path)
    drawn = [trial.params["x"] for trial in open_study(storage).finished()]
    assert len(set(drawn)) == 12


FEW = SearchSpace.parse({"x": "choice(1, 2)", "kind": "choice(a, b)"})


@pytest.mark.parametrize("sampler", [random, tpe])
def test_a_completed_configuration_is_copied_and_not_run_again(
    storage: str, tmp_path: Path, sampler: Callable[[int | None], optuna.samplers.BaseSampler]
) -> None:
    ran: list[int] = []

    def counted(values: dict[str, Any], context: JobContext) -> Outcome:
        ran.append(context.trial)
        return Complete((values["x"] + context.trial / 100,))

    for total in (6, 12):
        run(open_study(storage, sampler, space=FEW), counted, Budget(total), tmp_path, slots=1)
    finished = open_study(storage, sampler, space=FEW).finished()
    assert [trial.number for trial in finished] == list(range(12))
    configurations = {tuple(sorted(trial.params.items())) for trial in finished}
    # Drawn again while there is anything new: all four come, and each runs once.
    assert len(configurations) == len(ran) == 4
    values = {tuple(sorted(trial.params.items())): trial.value for trial in finished if trial.number in ran}
    assert all(trial.value == values[tuple(sorted(trial.params.items()))] for trial in finished)


def test_a_failed_configuration_is_not_copied(storage: str, tmp_path: Path) -> None:
    ran: list[int] = []

    def failing(values: dict[str, Any], context: JobContext) -> Outcome:
        ran.append(context.trial)
        raise ValueError

    run(open_study(storage, space=FEW), failing, Budget(7), tmp_path)
    assert sorted(ran) == list(range(7))


@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 9))
def test_redraws_do_not_depend_on_interruptions(cut: int) -> None:
    def asked(*budgets: int) -> list[dict[str, Any]]:
        storage = optuna.storages.InMemoryStorage()
        for budget in budgets:
            study = open_study(storage, space=FEW)  # type: ignore[arg-type]  # Optuna takes either
            run(study, square, Budget(budget), Path(), slots=1)
        return [trial.params for trial in study.finished()]

    assert asked(cut, 10) == asked(10)


@dataclass
class Crowd:
    """What ran beside what, and jobs that do not bear company."""

    shy: set[int]
    running: set[int] = field(default_factory=set)
    alone: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    met: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))

    def job(self, values: dict[str, Any], context: JobContext) -> Outcome:
        if context.attempt == 1 and context.trial < 2:
            self.met.wait(20)  # the first two run side by side for certain
        with self.lock:
            beside = set(self.running)
            self.running.add(context.trial)
        try:
            if context.trial in self.shy and context.attempt == 1:
                return Infeasible("out of memory", memory=True)
            if context.attempt == 2:
                self.alone.append(context.trial)
                assert not beside
            return square(values, context)
        finally:
            with self.lock:
                self.running.remove(context.trial)


def test_a_job_out_of_memory_is_tried_again_with_nothing_beside_it(storage: str, tmp_path: Path) -> None:
    crowd = Crowd(shy={0, 1})
    run(open_study(storage), crowd.job, Budget(6), tmp_path, slots=2)
    trials = open_study(storage).finished()
    assert sorted(crowd.alone) == [0, 1]
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 6


def test_a_job_out_of_memory_by_itself_is_infeasible_at_once(storage: str, tmp_path: Path) -> None:
    attempts: list[int] = []

    def hungry(values: dict[str, Any], context: JobContext) -> Outcome:
        attempts.append(context.attempt)
        return Infeasible("out of memory", memory=True)

    run(open_study(storage), hungry, Budget(2), tmp_path, slots=1)
    assert attempts == [1, 1]
    assert all(trial.constraints == {"feasible": 1.0} for trial in open_study(storage).finished())


def test_a_job_out_of_memory_empties_its_own_device_only(storage: str, tmp_path: Path) -> None:
    """Two devices with two slots each: while the first is emptied the second goes on."""
    neighbour, later = threading.Event(), threading.Event()
    ran: list[tuple[int, int, tuple[str, ...]]] = []

    def entry(values: dict[str, Any], context: JobContext) -> Outcome:
        ran.append((context.trial, context.attempt, context.slot.devices))
        if context.trial == 0 and context.attempt == 1:
            assert neighbour.wait(20)
            return Infeasible("out of memory", memory=True)
        if context.trial == 2:
            neighbour.set()
            assert later.wait(20)  # ends only once a trial has begun on the other device
        if context.trial == 4:
            later.set()
        return square(values, context)

    def job(suggestion: Suggestion) -> Job:
        return Job(suggestion.number, entry, suggestion.values, str(tmp_path), suggestion.attempt)

    slots = [Slot(0, ("0",)), Slot(1, ("1",)), Slot(2, ("0",)), Slot(3, ("1",))]
    with ThreadExecutor(slots) as executor:
        Loop(open_study(storage), executor, job, Budget(8)).run()
    on_the_first = [(trial, attempt) for trial, attempt, devices in ran if devices == ("0",)]
    assert on_the_first[:3] == [(0, 1), (2, 1), (0, 2)]
    assert all(trial.state == TrialState.COMPLETE for trial in open_study(storage).finished())


TWO = ("minimize", "maximize")


def test_several_objectives_have_a_front(storage: str, tmp_path: Path) -> None:
    values = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (1.0, 1.0), (0.5, 0.5)]

    def two(_: dict[str, Any], context: JobContext) -> Outcome:
        context.report(0.0, 1)  # kept, never pruned
        return Complete(values[context.trial])

    run(open_study(storage, direction=TWO), two, Budget(5), tmp_path, slots=1)
    study = open_study(storage, direction=TWO)
    assert [trial.number for trial in study.front()] == [0, 1, 4]
    best = study.best()
    assert best is not None
    assert best.number == 4


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_is_known_as_soon_as_it_is_told(storage: str, direction: str) -> None:
    study = open_study(storage, direction=direction)
    assert study.best() is None
    outcomes = [Failed("no"), *(Complete((value,)) for value in (2.0, 1.0, 3.0, 1.0, 3.0))]
    found = []
    for outcome in outcomes:
        study.tell(study.ask(), outcome, 0.0)
        found.append(best.number if (best := study.best()) else None)
    assert found == ([None, 1, 2, 2, 2, 2] if direction == "minimize" else [None, 1, 1, 3, 3, 3])
    best, again = study.best(), open_study(storage, direction=direction).best()
    assert best is not None
    assert again is not None
    assert (best.number, best.params, best.values) == (again.number, again.params, again.values)


def test_patience_with_several_objectives_waits_for_the_front(storage: str, tmp_path: Path) -> None:
    def two(_: dict[str, Any], context: JobContext) -> Outcome:
        return Complete((float(context.trial), float(min(context.trial, 3))))

    run(open_study(storage, direction=TWO), two, Budget(50, patience=4), tmp_path, slots=1)
    assert len(open_study(storage, direction=TWO).finished()) == 8


def test_too_few_values_are_a_failure(storage: str, tmp_path: Path) -> None:
    run(open_study(storage, direction=TWO), square, Budget(1), tmp_path)
    (trial,) = open_study(storage, direction=TWO).finished()
    assert trial.state == TrialState.FAIL
    assert "one number an objective" in trial.user_attrs["seqsweep.error"]


def test_enqueued_configurations_come_first_and_once(storage: str, tmp_path: Path) -> None:
    first = [{"x": 0.5, "kind": "b"}, {"x": -0.5}]
    for total in (1, 4):
        study = open_study(storage)
        study.enqueue(first)
        run(study, square, Budget(total), tmp_path, slots=1)
    finished = open_study(storage).finished()
    assert len(finished) == 4
    assert finished[0].params == first[0]
    assert finished[1].params["x"] == -0.5
    assert len({trial.params["x"] for trial in finished}) == 4


def test_what_differs_in_a_last_digit_is_enqueued_too(storage: str) -> None:
    study = open_study(storage)
    given = [{"x": 0.5}, {"x": 0.5 + 1e-9}, {"x": 0.5}, {"kind": "a"}, {"kind": "a"}]
    study.enqueue(given)
    study.enqueue(reversed(given))
    waiting = [trial.system_attrs["fixed_params"] for trial in study.trials()]
    assert waiting == [{"x": 0.5}, {"x": 0.5 + 1e-9}, {"kind": "a"}]


def test_what_another_process_has_taken_is_not_taken_again(storage: str) -> None:
    first, second = open_study(storage), open_study(storage)
    first.enqueue([{"x": 0.5, "kind": "a"}, {"x": 0.25, "kind": "b"}, {"x": 0.75}])
    second.enqueue([])
    taken = [first.ask(), second.ask(), second.ask()]
    assert [suggestion.number for suggestion in taken] == [0, 1, 2]
    assert taken[1].values == {"x": 0.25, "kind": "b"}
    assert taken[2].values["x"] == 0.75
    assert [trial.state for trial in second.trials()] == [TrialState.RUNNING] * 3
    first.tell(taken[1], Complete((1.0,)), 0.0)
    assert first.ask().number == 3


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"y": 1}, "y is not searched: expected x, kind"),
        ({"x": 2.0}, "x=2.0 lies outside"),
        ({"kind": "c"}, "kind=c lies outside"),
        ({"x": True}, "x=True lies outside"),
    ],
)
def test_an_enqueued_configuration_outside_the_space_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        SPACE.check(values)


def test_another_direction_is_refused(storage: str) -> None:
    open_study(storage)
    with pytest.raises(StudyError, match="stored with direction minimize, not maximize"):
        open_study(storage, direction="maximize")


def test_a_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_study(f"sqlite:///{tmp_path}/missing/optuna.db")
