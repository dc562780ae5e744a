"""Study: one optimisation in an Optuna store, opened anew or again."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import NopPruner
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    RandomSampler,
    TPESampler,
)
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from seqsweep.errors import StoreError, StudyError
from seqsweep.protocol import Complete, Failed, Infeasible, Outcome, Pruned
from seqsweep.sweeping import extending
from seqsweep.sweeping.space import SearchSpace, Value

REDRAWS = 10
"""How often a configuration that has completed already is drawn again."""

STATELESS = (RandomSampler, TPESampler, GPSampler, NSGAIISampler, NSGAIIISampler)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """What makes a study this study."""

    name: str
    storage: str | BaseStorage | None
    """An Optuna URL, or what `connect` made of it; None keeps the study in memory."""
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    sampler: Callable[[int | None], BaseSampler]
    """Makes the sampler, from a seed or from the study file's own."""
    pruner: optuna.pruners.BasePruner
    seed: int | None = None
    """The seed the study file gives its sampler."""

    @property
    def prunes(self) -> bool:
        """Whether a trial's report may be answered with stop."""
        return len(self.directions) == 1 and not isinstance(self.pruner, NopPruner)


@dataclasses.dataclass
class Suggestion:
    """A trial that is to be run: drawn anew, or found unfinished in the store."""

    trial: optuna.trial.Trial
    number: int
    values: dict[str, Value]
    attempt: int
    copy_of: FrozenTrial | None = None
    """The completed trial of the same configuration, whose values this one takes."""
    waited: bool = False
    """Whether it has waited for a slot since it was drawn."""


class Study:
    """A thin layer over `optuna.Study`: suggestions out, outcomes in.

    Everything that must survive a killed driver is in the store before a method returns.
    """

    def __init__(self, study: optuna.Study, settings: StudySettings, space: SearchSpace) -> None:
        self.optuna = study
        self.settings = settings
        self.space = space
        self._steps: dict[int, set[int]] = {}
        self.exhausted = False
        """Whether an enumerating sampler has nothing more to suggest."""
        self.size: float = math.inf
        """How many trials an enumerating sampler has in it; the others have no end."""
        enumerates = isinstance(study.sampler, GridSampler | BruteForceSampler)
        if enumerates and space.finite and not space.conditions:
            self.size = math.prod(len(values) for values in space.grid().values())
        stored = study.get_trials(deepcopy=False)
        self._next_number = len(stored)
        self._waiting = [trial for trial in stored if trial.state == TrialState.WAITING]
        self._completed: dict[tuple[str, ...], FrozenTrial] = {}
        self._best: tuple[float, int, int] | None = None
        self._best_trial: FrozenTrial | None = None
        for trial in stored:
            if trial.state == TrialState.COMPLETE:
                self._completed.setdefault(_key(trial.params), trial)
                self._rank(trial.values[0], trial.number, trial._trial_id)
        self.seed: int = settings.seed if settings.seed is not None else study.user_attrs["seqsweep.seed"]

    @classmethod
    def open(cls, settings: StudySettings, space: SearchSpace) -> Study:
        """Create the study, or go on with the stored one of that name.

        Raises StoreError if the store cannot be reached, StudyError if the stored
        study has other directions.
        """
        storage = connect(settings.storage) if isinstance(settings.storage, str) else settings.storage
        if storage is not None:
            extending.complete(storage, settings.name)
        study = optuna.create_study(
            study_name=settings.name,
            storage=storage,
            directions=[StudyDirection[word.upper()] for word in settings.directions],
            sampler=settings.sampler(None),
            pruner=settings.pruner,
            load_if_exists=True,
        )
        stored = tuple(direction.name.lower() for direction in study.directions)
        if stored != settings.directions:
            raise StudyError(
                f"study '{settings.name}' is stored with direction {', '.join(stored)}, not "
                f"{', '.join(settings.directions)}: give another hydra.sweeper.study_name"
            )
        if "seqsweep.uid" not in study.user_attrs:
            study.set_user_attr("seqsweep.metric", list(settings.metrics))
            study.set_user_attr("seqsweep.seed", uuid.uuid4().int % 2**31)
            study.set_user_attr("seqsweep.uid", uuid.uuid4().hex)
        return cls(study, settings, space)

    def extended(self, space: SearchSpace, attributes: Mapping[str, object]) -> Study:
        """The same study, its trials kept, searching a wider space; `attributes` are brought up to date.

        Raises:
            StudyError: the space does not hold all that the trials were drawn from.

        """
        storage, name = self.optuna._storage, self.settings.name
        extending.begin(storage, name, {p.key: p for p in space.all_parameters()}, attributes)
        return Study.open(dataclasses.replace(self.settings, storage=storage), space)

    @property
    def uid(self) -> str:
        """What tells this study from an earlier one of the same name."""
        return str(self.optuna.user_attrs["seqsweep.uid"])

    @property
    def single(self) -> bool:
        """Whether there is one objective; only then are trials pruned."""
        return len(self.settings.directions) == 1

    def trials(self, states: Iterable[TrialState] | None = None) -> list[FrozenTrial]:
        """The stored trials, in order of their numbers."""
        return self.optuna.get_trials(deepcopy=False, states=tuple(states) if states else None)

    @property
    def begun(self) -> int:
        """Above all numbers of trials that have begun: those beyond it only wait, or are not there yet."""
        return 1 + max(
            (each.number for each in self.trials() if each.state != TrialState.WAITING), default=-1
        )

    def finished(self) -> list[FrozenTrial]:
        """The trials that are told, whatever their state."""
        return self.trials(FINISHED)

    def unfinished(self) -> list[Suggestion]:
        """Trials that an earlier driver left running, ready to be run again."""
        return [self._adopt(frozen) for frozen in self.trials([TrialState.RUNNING])]

    def enqueue(self, configurations: Iterable[Mapping[str, Value]]) -> None:
        """Try these first; what is in the study already is not tried again."""
        # Optuna's own skip_if_exists reads all trials for each of them.
        known = {_key(trial.system_attrs.get("fixed_params", trial.params)) for trial in self.trials()}
        for values in configurations:
            if _key(values) not in known:
                self.optuna.enqueue_trial(dict(values))
                known.add(_key(values))
        self._waiting = self.trials([TrialState.WAITING])
        self._next_number = max(self._next_number, len(self.trials()))

    def ask(self) -> Suggestion:
        """The next trial; its draw depends on the seed, its number and what is stored.

        A configuration that has completed already is drawn again up to `REDRAWS` times,
        which spends no number; if it comes all the same, `Suggestion.copy_of` is set.
        """
        trial = self._next()
        self._next_number = max(self._next_number, trial.number + 1)
        values = self.space.suggest(trial)
        return Suggestion(trial, trial.number, values, 1, self._completed.get(_key(values)))

    def put_back(self, suggestion: Suggestion) -> None:
        """Let a trial that was drawn and has not begun wait in the store: it is asked for before new ones."""
        self.optuna._storage.set_trial_state_values(suggestion.trial._trial_id, TrialState.WAITING)
        self._waiting = self.trials([TrialState.WAITING])

    def begin(self, suggestion: Suggestion) -> None:
        """Note that an attempt is about to run; the first one goes without saying."""
        # Each attribute is a commit of its own, and most trials have one attempt.
        if suggestion.attempt > 1:
            suggestion.trial.set_user_attr("seqsweep.attempt", suggestion.attempt)

    def report(self, suggestion: Suggestion, value: float, step: int) -> bool:
        """Store an intermediate value; whether the trial shall go on."""
        if not self.single:
            return True
        reported = self._reported(suggestion)
        if step not in reported:
            suggestion.trial.report(value, step)
            reported.add(step)
        return not (self.settings.prunes and suggestion.trial.should_prune())

    def tell(self, suggestion: Suggestion, outcome: Outcome, seconds: float) -> str:
        """Store how the trial ended; returns its state as our tables name it."""
        state, told, values = self._verdict(outcome)
        trial = suggestion.trial
        if suggestion.attempt > 1 or suggestion.waited:  # else Optuna's own times say it
            trial.set_user_attr("seqsweep.seconds", round(seconds, 3))
        if isinstance(outcome, Pruned) and outcome.best is not None:
            trial.set_user_attr("seqsweep.best", outcome.best)
        if text := _text(outcome, state):
            trial.set_user_attr("seqsweep.error", text[:2000])
        if state == "infeasible":
            # To Optuna a pruned trial with a violated constraint: TPE learns nothing from failed ones.
            trial.set_constraint("feasible", 1.0)
            trial.set_user_attr("seqsweep.state", state)
        if state == "complete" and values is not None:
            # What it was is all that a later copy needs; its number is the stored trial's.
            same = optuna.trial.create_trial(params={}, distributions={}, values=list(values))
            same.number = suggestion.number
            self._completed.setdefault(_key(suggestion.values), same)
        try:
            self.optuna.tell(trial, values, state=told)
        except RuntimeError as error:
            # Enumerating samplers stop the study through a call that only optimize() allows; the
            # trial itself has been stored by then.
            if "Study.stop" not in str(error):
                raise
            self.exhausted = True
        if state == "complete" and values is not None:
            self._rank(values[0], suggestion.number, trial._trial_id)
        return state

    def best(self) -> FrozenTrial | None:
        """The best complete trial by the first objective, the earliest of equals."""
        if self._best is None:
            return None
        _, number, trial_id = self._best
        if self._best_trial is None or self._best_trial.number != number:
            self._best_trial = self.optuna._storage.get_trial(trial_id)  # a trial that is told stays as it is
        return self._best_trial

    def _rank(self, value: float, number: int, trial_id: int) -> None:
        """Take note of a complete trial, so that nobody has to look at all of them for the best."""
        sign = -1 if self.optuna.directions[0] == StudyDirection.MAXIMIZE else 1
        rank = sign * value, number, trial_id
        self._best = rank if self._best is None else min(self._best, rank)

    def front(self) -> list[FrozenTrial]:
        """The complete trials that no other beats in all objectives, the earliest of equals.

        With one objective that is the best one.
        """
        first: dict[tuple[float, ...], FrozenTrial] = {}
        for trial in self.optuna.best_trials:
            first.setdefault(tuple(trial.values), trial)
        return list(first.values())

    def _next(self) -> optuna.trial.Trial:
        while self._waiting:
            waiting = self._waiting.pop(0)
            self._reseed(waiting.number)
            fixed = {**waiting.system_attrs.get("fixed_params", {}), **waiting.params}
            if any(parameter.key not in fixed for parameter in self.space.all_parameters()):
                return self.optuna.ask()  # the rest of it is drawn
            # That would read every unfinished trial, to find the one that is known here.
            if self._take(waiting):
                return optuna.trial.Trial(self.optuna, waiting._trial_id)
        self._reseed(self._next_number)
        if self._redrawable:
            self.optuna.enqueue_trial(self._draw_anew(self._next_number))
        return self.optuna.ask()

    def _take(self, waiting: FrozenTrial) -> bool:
        """Whether the trial has waited until now; it is running then."""
        try:
            return self.optuna._storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _adopt(self, frozen: FrozenTrial) -> Suggestion:
        self._reseed(frozen.number)
        trial = optuna.trial.Trial(self.optuna, frozen._trial_id)
        attempt = int(frozen.user_attrs.get("seqsweep.attempt", 1)) + 1
        return Suggestion(trial, frozen.number, self.space.suggest(trial), attempt)

    @property
    def _stateless(self) -> bool:
        """Whether the sampler keeps nothing but its generator; a seed of its own for each ask is then right.

        Grids, low-discrepancy sequences and CMA-ES count on one seed for the whole study.
        """
        sampler = self.optuna.sampler
        if isinstance(sampler, PartialFixedSampler):
            sampler = sampler._base_sampler
        return type(sampler) in STATELESS

    @property
    def _redrawable(self) -> bool:
        """Whether a draw may repeat a completed configuration and can be made again."""
        return self._stateless and bool(self._completed) and self.space.finite

    def _reseed(self, number: int) -> None:
        """A reopened sampler would repeat its first suggestions: derive its seed from the trial."""
        if self._stateless:
            self.optuna.sampler = self.settings.sampler(derive_seed(self.seed, number))

    def _draw_anew(self, number: int) -> dict[str, Value]:
        """Values for the trial `number`, new ones if a few draws find some."""
        # In a copy of the study: a draw cannot be taken back from the store.
        scratch = optuna.create_study(directions=self.optuna.directions)
        if type(self.optuna.sampler) is not RandomSampler:  # that one looks at no trials
            scratch.add_trials(self.trials())
        for draw in range(REDRAWS + 1):
            scratch.sampler = self.settings.sampler(derive_seed(self.seed, number, draw))
            trial = scratch.ask()
            values = self.space.suggest(trial)
            if _key(values) not in self._completed:
                break
            scratch.tell(trial, state=TrialState.FAIL)
        return values

    def _reported(self, suggestion: Suggestion) -> set[int]:
        if suggestion.number not in self._steps:
            stored: Iterable[int] = ()
            if suggestion.attempt > 1:  # the first has reported nothing
                stored = self.optuna._storage.get_trial(suggestion.trial._trial_id).intermediate_values
            self._steps[suggestion.number] = set(stored)
        return self._steps[suggestion.number]

    def _verdict(self, outcome: Outcome) -> tuple[str, TrialState, Sequence[float] | None]:
        if isinstance(outcome, Complete):
            wanted = len(self.settings.directions)
            if len(outcome.values) != wanted or any(math.isnan(value) for value in outcome.values):
                return "failed", TrialState.FAIL, None
            return "complete", TrialState.COMPLETE, outcome.values
        if isinstance(outcome, Pruned):
            return "pruned", TrialState.PRUNED, None
        if isinstance(outcome, Infeasible):
            return "infeasible", TrialState.PRUNED, None
        return "failed", TrialState.FAIL, None


def connect(url: str) -> BaseStorage:
    """The store behind an Optuna URL. Raises StoreError if it cannot be reached."""
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        reason = str(error).strip().splitlines()[0]
        raise StoreError(f"hydra.sweeper.storage={url}: cannot be opened: {reason}") from None


def _key(values: Mapping[str, Value]) -> tuple[str, ...]:
    """A configuration as something to look up; the integer 1 and true are not the same."""
    return tuple(f"{key}={values[key]!r}" for key in sorted(values))


def derive_seed(seed: int, number: int, draw: int = 0) -> int:
    """A 32-bit seed for a draw of the trial `number`, unrelated to its neighbours'."""
    digest = hashlib.sha256(f"{seed}/{number}/{draw}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def _text(outcome: Outcome, state: str) -> str:
    if isinstance(outcome, Failed):
        return outcome.text
    if isinstance(outcome, Infeasible):
        return outcome.reason
    if isinstance(outcome, Complete) and state == "failed":
        return f"the job returned {outcome.values}: expected one number an objective"
    return ""
