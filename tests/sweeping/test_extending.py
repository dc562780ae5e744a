"""A study whose ranges are widened keeps its trials, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from seqsweep.errors import StudyError
from seqsweep.protocol import Complete, Failed, Infeasible, Pruned
from seqsweep.sweeping import SearchSpace, Study, StudySettings

NARROW = SearchSpace.parse({"x": "interval(-1.0,1.0)", "kind": "choice(a,b)", "n": "range(2,8,2)"})
WIDE = SearchSpace.parse({"x": "interval(-2.0,1.0)", "kind": "choice(c,a,b)", "n": "range(0,11,2)"})


class Killed(BaseException):
    pass


class MortalStorage(InMemoryStorage):
    """A store whose process dies before its n-th write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left: float = float("inf")

    def _write(self) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Killed

    def create_new_study(self, *args: Any, **kwargs: Any) -> int:
        self._write()
        return super().create_new_study(*args, **kwargs)

    def delete_study(self, *args: Any) -> None:
        self._write()
        super().delete_study(*args)

    def create_new_trial(self, *args: Any, **kwargs: Any) -> int:
        self._write()
        return super().create_new_trial(*args, **kwargs)

    def set_study_user_attr(self, *args: Any) -> None:
        self._write()
        super().set_study_user_attr(*args)


def open_study(storage: InMemoryStorage, space: SearchSpace) -> Study:
    def sampler(seed: int | None) -> optuna.samplers.BaseSampler:
        return optuna.samplers.RandomSampler(seed=3 if seed is None else seed)

    pruner = optuna.pruners.NopPruner()
    return Study.open(
        StudySettings("study", storage, ("loss",), ("minimize",), sampler, pruner, seed=3), space
    )


def begun() -> tuple[MortalStorage, list[FrozenTrial]]:
    """A study with a trial of every state, one of them under way."""
    storage = MortalStorage()
    study = open_study(storage, NARROW)
    for outcome in (Complete((0.5,)), Pruned(0.2), Failed("no good"), Infeasible("out of memory")):
        suggestion = study.ask()
        study.report(suggestion, 0.7, 1)
        study.tell(suggestion, outcome, 1.0)
    study.begin(study.ask())
    return storage, study.optuna.get_trials()


def facts(trials: list[FrozenTrial]) -> list[Any]:
    return [
        (t.number, t.state, t.params, t.values, t.intermediate_values, t.user_attrs, t.constraints)
        for t in trials
    ]


def test_the_trials_are_kept_and_the_choices_are_wider() -> None:
    storage, before = begun()
    wider = open_study(storage, NARROW).extended(WIDE, {"seqsweep.identity": {"now": "wide"}})
    assert facts(wider.trials()) == facts(before)
    assert wider.optuna.user_attrs["seqsweep.identity"] == {"now": "wide"}
    drawn = set()
    for _ in range(30):
        suggestion = wider.ask()
        drawn.add(suggestion.values["kind"])
        wider.tell(suggestion, Complete((0.0,)), 0.0)
    assert drawn == {"a", "b", "c"}
    assert storage.get_study_id_from_name("study") is not None
    assert len(storage.get_all_studies()) == 1


def test_killed_at_any_write_nothing_is_lost() -> None:
    survived = False
    for writes in range(60):
        storage, before = begun()
        study = open_study(storage, NARROW)
        storage.writes_left = writes
        try:
            study.extended(WIDE, {})
            survived = True
        except Killed:
            survived = False
        storage.writes_left = float("inf")
        again = open_study(storage, NARROW if not survived else WIDE)
        assert facts(again.trials()) == facts(before)
        assert len(storage.get_all_studies()) == 1
        assert facts(again.extended(WIDE, {}).trials()) == facts(before)
        if survived:
            break
    assert survived


@pytest.mark.parametrize(
    "params",
    [
        {"x": "interval(-0.5,1.0)", "kind": "choice(a,b)", "n": "range(2,8,2)"},
        {"x": "interval(-1.0,1.0)", "kind": "choice(a,c)", "n": "range(2,8,2)"},
        {"x": "interval(-1.0,1.0)", "kind": "choice(a,b)", "n": "range(1,8,2)"},
        {"x": "interval(-1.0,1.0)", "kind": "choice(a,b)", "n": "range(2,8)"},
        {"x": "interval(-1.0,1.0)", "kind": "choice(a,b)"},
    ],
)
def test_what_does_not_hold_the_old_values_is_refused(params: dict[str, str]) -> None:
    storage, before = begun()
    with pytest.raises(StudyError, match="expected a range or choices that hold all of the old ones"):
        open_study(storage, NARROW).extended(SearchSpace.parse(params), {})
    assert facts(open_study(storage, NARROW).trials()) == facts(before)


whole = st.integers(-50, 50)


@given(
    low=whole,
    size=st.integers(1, 20),
    below=st.integers(0, 9),
    above=st.integers(0, 9),
    step=st.integers(1, 4),
)
def test_a_wider_range_on_the_same_grid_widens(
    low: int, size: int, below: int, above: int, step: int
) -> None:
    def parameter(start: int, count: int) -> Any:
        (made,) = SearchSpace.parse({"n": f"range({start},{start + count * step},{step})"}).parameters
        return made

    old, new = parameter(low, size), parameter(low - below * step, below + size + above)
    assert new.widens(old.distribution)
    assert old.widens(new.distribution) == (below == above == 0)
