"""Slots with several seats: who runs with whom as one, and what becomes of it."""

from __future__ import annotations

import random as chance
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from contracts.stack_contract import Ends, as_usual
from seqsweep.launching import ThreadExecutor, make_slots
from seqsweep.protocol import (
    Complete,
    Ended,
    Event,
    Infeasible,
    Interrupted,
    Job,
    JobContext,
    Outcome,
    Pruned,
    Slot,
    SlotLost,
    Stacking,
    Started,
)
from seqsweep.sweeping import Budget, Loop, Study
from seqsweep.sweeping.study import Suggestion
from sweeping.test_loop import open_study, random, tpe
from sweeping.test_timeline import parts

Key = str | None
Name = tuple[int, int]
"""A trial and its attempt."""


@dataclass
class Table:
    """An executor without processes, strict about seats; what happens in it is decided from outside."""

    chosen: Sequence[Slot]
    happens: Callable[[list[Job]], list[Event]]
    """Of the jobs on a slot that have not ended: what one look at it shows."""
    draw: chance.Random = field(default_factory=lambda: chance.Random(0))
    seated: dict[int, list[Job]] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    stacks: list[list[Job]] = field(default_factory=list)
    """Those that began together."""
    events: list[Event] = field(default_factory=list)
    look: Callable[[], None] = lambda: None

    def slots(self) -> Sequence[Slot]:
        return self.chosen

    def submit(self, job: Job, slot: Slot) -> None:
        there = self.seated.setdefault(slot.id, [])
        assert slot.id not in self.begun
        assert len(there) < slot.seats
        assert all(job.stack is not None and job.stack == other.stack for other in there)
        there.append(job)

    def poll(self, timeout: float | None = None) -> list[Event]:
        self.look()
        events: list[Event] = []
        for place in self.seated.keys() - self.begun:
            self.begun.add(place)
            self.stacks.append(list(self.seated[place]))
            events += [Started(job.trial, job.attempt, 1) for job in self.seated[place]]
        place = self.draw.choice(sorted(self.begun))
        happened = self.happens(self.seated[place])
        over = {event.trial for event in happened if isinstance(event, Ended | SlotLost)}
        self.seated[place] = [job for job in self.seated[place] if job.trial not in over]
        if not self.seated[place]:
            del self.seated[place]
            self.begun.remove(place)
        self.events += [*events, *happened]
        return [*events, *happened]

    def answer(self, trial: int, go: bool) -> None: ...

    def interrupt(self, trial: int) -> None: ...

    def names(self) -> list[list[Name]]:
        return [[(job.trial, job.attempt) for job in stack] for stack in self.stacks]


def maker(keys: Callable[[int], Key]) -> Callable[[Suggestion], Job]:
    def make(suggestion: Suggestion) -> Job:
        key = keys(suggestion.number)
        stack = None if key is None else Stacking("a:stack", key)
        return Job(suggestion.number, "an:entry", suggestion.values, ".", suggestion.attempt, stack)

    return make


def one_completes(jobs: list[Job]) -> list[Event]:
    return [Ended(jobs[0].trial, jobs[0].attempt, Complete((float(jobs[0].trial),)))]


def loop_over(
    table: Table,
    keys: Callable[[int], Key] = lambda number: "a",
    budget: Budget = Budget(20),  # noqa: B008  frozen
    study: Study | None = None,
) -> Study:
    study = study or open_study(optuna.storages.InMemoryStorage())  # type: ignore[arg-type]
    Loop(study, table, maker(keys), budget).run()  # type: ignore[arg-type]
    return study


def test_seats_are_filled_with_trials_of_one_key() -> None:
    table = Table(make_slots((), cores=2, seats=4), one_completes)
    loop_over(table, budget=Budget(16))
    assert [len(stack) for stack in table.stacks] == [4, 4, 4, 4]


@pytest.mark.parametrize(("trials", "sizes"), [(3, [2, 1]), (4, [2, 2]), (6, [3, 3]), (8, [4, 4]), (1, [1])])
def test_a_few_are_dealt_evenly_to_the_free_slots(trials: int, sizes: list[int]) -> None:
    table = Table(make_slots((), cores=2, seats=4), one_completes)
    loop_over(table, budget=Budget(trials))
    assert [len(stack) for stack in table.stacks] == sizes


def test_those_of_another_key_wait_and_come_next() -> None:
    table = Table(make_slots((), cores=1, seats=3), one_completes)
    study = loop_over(table, lambda number: "abcaaaaab"[number], Budget(9))
    assert [[trial for trial, _ in stack] for stack in table.names()] == [[0, 3, 4], [1], [2], [5, 6, 7], [8]]
    # Optuna's times of those that have waited begin before they did.
    timed = [trial.number for trial in study.finished() if "seqsweep.seconds" in trial.user_attrs]
    assert timed == [1, 2, 5, 6, 7]


def test_what_cannot_be_stacked_takes_a_whole_slot() -> None:
    table = Table(make_slots((), cores=1, seats=3), one_completes)
    loop_over(table, lambda number: None if number in (0, 2) else "a", Budget(6))
    assert [[trial for trial, _ in stack] for stack in table.names()] == [[0], [1, 3, 4], [2], [5]]


def test_no_more_are_asked_for_than_may_wait() -> None:
    asked: list[int] = []

    def keys(number: int) -> Key:
        asked.append(number)
        return f"key {number}"

    table = Table(make_slots((), cores=1, seats=3), one_completes)
    seen: list[int] = []
    table.look = lambda: seen.append(len(asked) - sum(map(len, table.names())))
    loop_over(table, keys, Budget(12))
    assert max(seen) <= 1 + 3  # what is about to begin, and as many as there are seats
    assert [len(stack) for stack in table.stacks] == [1] * 12


def test_a_job_is_made_once_an_attempt() -> None:
    made: Counter[int] = Counter()

    def keys(number: int) -> Key:
        made[number] += 1
        return "ab"[number % 2]

    loop_over(Table(make_slots((), cores=2, seats=3), one_completes), keys, Budget(11))
    assert made == Counter(range(11))


@settings(max_examples=150, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=24),
    seats=st.integers(1, 5),
    slots=st.integers(1, 3),
    seed=st.integers(0, 1000),
    deaths=st.sampled_from([0.0, 0.3]),
    retries=st.integers(0, 2),
)
def test_every_trial_runs_to_one_end(
    keys: list[Key], seats: int, slots: int, seed: int, deaths: float, retries: int
) -> None:
    draw = chance.Random(seed)
    died: Counter[int] = Counter()  # of the trials that were by themselves

    def happens(jobs: list[Job]) -> list[Event]:
        if draw.random() < deaths:
            if len(company(jobs[0])) == 1:
                died[jobs[0].trial] += 1
            return [SlotLost(job.trial, job.attempt, 0, "killed") for job in jobs]
        job = draw.choice(jobs)
        outcomes: list[Outcome] = [Complete((float(job.trial),)), Pruned(), Infeasible("nan")]
        outcome = draw.choice(outcomes)
        return [Ended(job.trial, job.attempt, outcome)]

    def company(job: Job) -> list[Job]:
        return next(stack for stack in table.stacks if job in stack)

    def nothing_idles() -> None:
        if len(table.seated) < slots:
            begun = {job.trial for jobs in (*table.stacks, *table.seated.values()) for job in jobs}
            lost = {job.trial for stack in table.stacks for job in stack} - told() - running()
            assert len(begun) == len(keys) and not lost

    def told() -> set[int]:
        return {trial.number for trial in study.finished()}

    def running() -> set[int]:
        return {job.trial for jobs in table.seated.values() for job in jobs}

    study = open_study(optuna.storages.InMemoryStorage())  # type: ignore[arg-type]
    table = Table(make_slots((), cores=slots, seats=seats), happens, draw, look=nothing_idles)
    loop_over(table, lambda number: keys[number], Budget(len(keys), retries=retries), study)

    finished = study.finished()
    assert [trial.number for trial in finished] == list(range(len(keys)))
    for name, events in grouped(table.events).items():
        assert as_usual(events).keys() == {name[0]}
    for stack in table.stacks:
        assert len(stack) <= seats
        assert len({keys[job.trial] for job in stack}) == 1
        assert len(stack) == 1 or keys[stack[0].trial] is not None
        assert len(stack) == 1 or all(job.attempt == 1 for job in stack)  # no second death in company
    for trial in finished:
        assert (trial.state == TrialState.FAIL) == (died[trial.number] > retries)
    if not deaths:
        assert sum(map(len, table.stacks)) == len(keys)


def grouped(events: list[Event]) -> dict[Name, list[Event]]:
    names: dict[Name, list[Event]] = {}
    for event in events:
        names.setdefault((event.trial, event.attempt), []).append(event)
    return names


@pytest.mark.parametrize("sampler", [random, tpe])
def test_suggestions_are_those_of_the_numbers(
    sampler: Callable[[int | None], optuna.samplers.BaseSampler],
) -> None:
    """A random search draws the same with seats as without; a reopened study goes on as it would have."""
    drawn: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for budgets in ((12,), (5, 12)):
        for seats in (1, 4):
            storage = optuna.storages.InMemoryStorage()
            for budget in budgets:
                study = open_study(storage, sampler)  # type: ignore[arg-type]
                loop_over(
                    Table(make_slots((), cores=1, seats=seats), one_completes),
                    budget=Budget(budget),
                    study=study,
                )
            drawn[(*budgets, seats)] = [trial.params for trial in study.finished()]
    assert all(len({str(values) for values in each}) == 12 for each in drawn.values())
    if sampler is random:
        assert all(each == drawn[12, 1] for each in drawn.values())


# ---------------------------------------------------------------- what goes wrong


def test_a_death_sets_every_member_apart_and_counts_for_none() -> None:
    """Trial 1 kills whatever it runs in."""
    said: list[str] = []

    def happens(jobs: list[Job]) -> list[Event]:
        if any(job.trial == 1 for job in jobs):
            return [SlotLost(job.trial, job.attempt, 0, "killed") for job in jobs]
        return one_completes(jobs)

    class Said:
        def __getattr__(self, name: str) -> Any:
            return said.append if name == "message" else lambda *_: None

    study = open_study(optuna.storages.InMemoryStorage())  # type: ignore[arg-type]
    table = Table(make_slots((), cores=1, seats=4), happens)
    Loop(study, table, maker(lambda number: "a"), Budget(8, retries=1), [Said()]).run()  # type: ignore[arg-type]
    names = table.names()
    assert names[0] == [(trial, 1) for trial in range(4)]
    assert names[1:5] == [[(0, 2)], [(1, 2)], [(2, 2)], [(3, 2)]]
    assert [(1, 3)] in names
    assert [trial.state.name for trial in study.finished()] == ["COMPLETE", "FAIL", *["COMPLETE"] * 6]
    assert study.finished()[1].user_attrs["seqsweep.error"] == "killed, 2 times"
    assert said[:4] == [f"trial {trial}: killed; trying again by itself" for trial in range(4)]
    assert said[4:] == ["trial 1: killed; trying again"]


def test_out_of_memory_in_company_is_tried_again_by_itself_then_with_nothing_beside_it() -> None:
    """Two slots of three seats on one machine; trial 0 is too large for anything but an empty one."""
    beside: list[set[int]] = []

    def happens(jobs: list[Job]) -> list[Event]:
        others = {job.trial for there in table.seated.values() for job in there} - {0}
        if jobs[0].trial == 0:
            beside.append(others)
        if jobs[0].trial == 0 and others:
            return [Ended(0, jobs[0].attempt, Infeasible("out of memory", memory=True))]
        return one_completes(jobs)

    table = Table(make_slots((), cores=2, seats=3), happens)
    study = loop_over(table, budget=Budget(14))
    assert [stack for stack in table.names() if (0, 2) in stack or (0, 3) in stack] == [[(0, 2)], [(0, 3)]]
    assert beside[-1] == set()
    assert all(trial.state == TrialState.COMPLETE for trial in study.finished())


def test_a_member_out_of_memory_is_infeasible_only_by_itself() -> None:
    def happens(jobs: list[Job]) -> list[Event]:
        return [Ended(jobs[0].trial, jobs[0].attempt, Infeasible("out of memory", memory=True))]

    table = Table(make_slots((), cores=1, seats=2), happens)
    study = loop_over(table, budget=Budget(2))
    assert table.names() == [[(0, 1), (1, 1)], [(0, 2)], [(1, 2)]]
    assert all(trial.constraints == {"feasible": 1.0} for trial in study.finished())


def test_budgets_other_than_a_number_end_a_study_of_stacks() -> None:
    def fails(jobs: list[Job]) -> list[Event]:
        return [Ended(jobs[0].trial, jobs[0].attempt, Complete(()))]

    for budget, expected in ((Budget(99, max_failures=3), 4), (Budget(99, timeout=1e-9), 0)):
        table = Table(make_slots((), cores=1, seats=4), fails)
        assert len(loop_over(table, budget=budget).finished()) == expected
    patient = loop_over(Table(make_slots((), cores=1, seats=4), one_completes), budget=Budget(99, patience=5))
    assert len(patient.finished()) == 8  # asked for by fours


LIMITS = {
    "failures": Budget(99, max_failures=1),
    "patience": Budget(99, patience=1),
    "time": Budget(99, timeout=3600),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("storage", ["memory", "sqlite"])
def test_what_has_not_begun_at_a_limit_is_next_for_the_next_driver(
    limit: str, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None may join the first trial, so that others were asked for and wait when it ends the study."""
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    store = optuna.storages.get_storage(None if storage == "memory" else url)

    def happens(jobs: list[Job]) -> list[Event]:
        monkeypatch.setattr("time.monotonic", lambda: 1e9)
        values = () if limit == "failures" else (float(jobs[0].trial),)
        return [Ended(jobs[0].trial, jobs[0].attempt, Complete(values))]

    def drive(budget: Budget) -> Study:
        monkeypatch.setattr("time.monotonic", lambda: 0.0)
        table = Table(make_slots((), cores=1, seats=3), happens)
        return loop_over(table, lambda number: f"key {number}", budget, open_study(store))  # type: ignore[arg-type]

    undisturbed = open_study(optuna.storages.InMemoryStorage())  # type: ignore[arg-type]
    loop_over(Table(make_slots((), cores=1, seats=1), one_completes), budget=Budget(6), study=undisturbed)

    study = drive(LIMITS[limit])
    ran = 2 if limit == "patience" else 1  # it takes a second trial to be no better than the first
    states = [trial.state for trial in study.trials()]
    assert states[:ran] == [TrialState.FAIL if limit == "failures" else TrialState.COMPLETE] * ran
    assert states[ran:] == [TrialState.WAITING] * 3
    study = drive(Budget(6))
    assert [trial.number for trial in study.finished()] == list(range(6))
    assert [trial.params for trial in study.trials()] == [trial.params for trial in undisturbed.trials()]
    assert all("seqsweep.attempt" not in trial.user_attrs for trial in study.trials())


def test_past_the_time_no_trial_is_taken_up_again_either(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    run(open_study(storage), until_stopped, Budget(8), tmp_path, slots=2)
    run(open_study(storage), squares, Budget(8, timeout=1e-9), tmp_path, slots=2)
    assert [trial.state for trial in open_study(storage).trials()] == [TrialState.RUNNING] * 4


# ---------------------------------------------------------------- with threads


def until_stopped(payloads: list[Any], contexts: list[JobContext]) -> Ends:
    while not all(context.interrupted for context in contexts):
        pass
    for place, _ in enumerate(contexts):
        yield place, Interrupted()


def squares(payloads: list[dict[str, Any]], contexts: list[JobContext]) -> Ends:
    for step in range(3):
        for context in contexts:
            context.report(float(step), step)
    for place, values in enumerate(payloads):
        yield place, Complete((values["x"] ** 2,))


def run(study: Study, entry: Any, budget: Budget, folder: Path, slots: int = 1) -> None:
    def job(suggestion: Suggestion) -> Job:
        stack = Stacking(entry, "a")
        return Job(suggestion.number, alone, suggestion.values, str(folder), suggestion.attempt, stack)

    def alone(payload: dict[str, Any], context: JobContext) -> Outcome:
        ((_, outcome),) = entry([payload], [context])
        return outcome  # type: ignore[no-any-return]

    with ThreadExecutor(make_slots((), cores=slots, seats=3)) as executor:
        loop = Loop(study, executor, job, budget)
        if entry is until_stopped:
            begin = executor.submit

            def submit(job: Job, slot: Slot) -> None:
                begin(job, slot)
                if job.trial == 3:
                    loop.stop()

            executor.submit = submit  # type: ignore[method-assign]
        loop.run()


def test_a_stopped_stack_is_taken_up_again(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    run(open_study(storage), until_stopped, Budget(8), tmp_path, slots=2)
    left = open_study(storage).trials([TrialState.RUNNING])
    assert [trial.number for trial in left] == [0, 1, 2, 3]
    run(open_study(storage), squares, Budget(8), tmp_path, slots=2)
    finished = open_study(storage).finished()
    assert [trial.number for trial in finished] == list(range(8))
    assert [trial.user_attrs.get("seqsweep.attempt", 1) for trial in finished] == [2] * 4 + [1] * 4
    assert all(len(trial.intermediate_values) == 3 for trial in finished)
    first, second = parts(storage)
    assert {attempt[5] for attempt in first["attempts"]} == {"interrupted"}
    assert {attempt[5] for attempt in second["attempts"]} == {"complete"}
    begins = sorted((attempt[3], attempt[2]) for attempt in second["attempts"])
    assert len({slot for _, slot in begins}) == 2
