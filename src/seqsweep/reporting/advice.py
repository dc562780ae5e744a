"""What to try next: where the space seems too narrow, what did not matter, whether more trials may help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from seqsweep.reporting import wording
from seqsweep.reporting.importance import best_trials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_FEWEST = 8
"""Complete trials below which nothing is said of single parameters."""
_NEAR = 0.1
"""How near to an end of its range a value touches it, as a share of the range."""
_MOST_OF_THEM = 2 / 3
_UNIMPORTANT = 0.05
_LATE = 0.2
"""A best trial among this share, the last, says that the search still gains."""


@dataclass(frozen=True)
class Advice:
    """One thing to try."""

    kind: str
    """edge, choice, unimportant or budget"""
    text: str
    """A sentence or two for a person."""
    parameters: tuple[str, ...] = ()
    """What it is about."""


def advice(study: optuna.Study, importance: Mapping[str, float]) -> list[Advice]:
    """What the complete trials of `study` suggest, the most telling first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in complete if all(map(math.isfinite, trial.values))]
    if len(trials) < _FEWEST:
        seen = f"{len(trials)} complete trial{'s' * (len(trials) != 1)}"
        return [Advice("budget", f"{seen}: too few to say what to change; {_FEWEST} or more can tell.")]
    numbers = best_trials(trials, study.directions)
    best = [trial for trial in trials if trial.number in numbers]
    names = sorted(dict.fromkeys(name for trial in trials for name in trial.params))
    names.sort(key=lambda name: -importance.get(name, 0.0))
    edges = [found for name in names for found in _edge(name, best)]
    settled = {name for found in edges for name in found.parameters}
    choices = [found for name in names if name not in settled for found in _choice(name, best, trials)]
    settled |= {name for found in choices for name in found.parameters}
    others = [name for name in names if name not in settled]
    if len(study.directions) > 1:  # what does not lead to the front may decide where on it
        nothing = Advice("budget", "The best trials touch no edge of the space, and share no choice.")
        return [*edges, *choices] or [nothing]
    return [*edges, *choices, *_unimportant(others, importance, trials), _budget(study.directions[0], trials)]


def _edge(name: str, best: Sequence[FrozenTrial]) -> Iterator[Advice]:
    """The best trials lie at an end of the range, which is not a natural one."""
    drawn = [trial for trial in best if name in trial.params]
    if len(drawn) < 3 or (ends := _ends(drawn[-1].distributions[name])) is None:
        return
    log = getattr(drawn[-1].distributions[name], "log", False)
    places = [_place(trial.params[name], *ends, log) for trial in drawn]
    for word, end, touching, beyond in (
        ("lower", ends[0], sum(place <= _NEAR for place in places), "smaller"),
        ("upper", ends[1], sum(place >= 1 - _NEAR for place in places), "larger"),
    ):
        natural = end == 0 or (end == 1 and isinstance(end, float))
        if touching >= _MOST_OF_THEM * len(drawn) and not natural:
            yield Advice(
                "edge",
                f"{touching} of the best {len(drawn)} trials lie at the {word} end of {name} "
                f"({wording.number(end)}): let it be {beyond}. hydra.sweeper.on_change=extend widens the "
                "range and keeps the trials.",
                (name,),
            )


def _ends(distribution: BaseDistribution) -> tuple[float, float] | None:
    """The smallest and the largest value, of numbers that were searched."""
    if distribution.single():
        return None
    if not isinstance(distribution, CategoricalDistribution):
        return distribution.low, distribution.high  # type: ignore[attr-defined]  # floats and integers have them
    numbers = [
        choice
        for choice in distribution.choices
        if isinstance(choice, int | float) and not isinstance(choice, bool)
    ]
    return (min(numbers), max(numbers)) if len(numbers) == len(distribution.choices) else None


def _place(value: float, low: float, high: float, log: bool) -> float:
    """Where a value lies between the ends, from 0 to 1."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _choice(name: str, best: Sequence[FrozenTrial], trials: Sequence[FrozenTrial]) -> Iterator[Advice]:
    """All of the best trials made one choice, though others were tried often enough."""
    chosen = [trial.params.get(name) for trial in best]
    distribution = best[-1].distributions.get(name)
    if (
        len(best) < 5
        or not isinstance(distribution, CategoricalDistribution)
        or len(set(map(repr, chosen))) > 1
    ):
        return
    others = sum(repr(trial.params.get(name)) != repr(chosen[0]) for trial in trials)
    if others >= len(best):
        yield Advice(
            "choice",
            f"All of the best {len(best)} trials have {name}={wording.number(chosen[0])}, and none of the "
            f"{others} complete ones with another value is among them: fix it.",
            (name,),
        )


def _unimportant(
    names: Sequence[str], importance: Mapping[str, float], trials: Sequence[FrozenTrial]
) -> Iterator[Advice]:
    idle = [name for name in names if importance.get(name, 1.0) < _UNIMPORTANT and _varies(name, trials)]
    if idle:
        shares = ", ".join(f"{name} ({importance[name]:.0%})" for name in idle)
        them = "them" if len(idle) > 1 else "it"
        text = f"Of little importance: {shares}. Fix {them}, and search fewer dimensions."
        yield Advice("unimportant", text, tuple(idle))


def _varies(name: str, trials: Sequence[FrozenTrial]) -> bool:
    return len({repr(trial.params.get(name)) for trial in trials}) > 1


def _budget(direction: StudyDirection, trials: Sequence[FrozenTrial]) -> Advice:
    """Whether the best came late."""
    sign = -1 if direction == StudyDirection.MAXIMIZE else 1
    best = min(trials, key=lambda trial: (sign * trial.values[0], trial.number))
    since = sum(trial.number > best.number for trial in trials)
    if since < _LATE * len(trials):
        text = f"The best trial, {best.number}, is among the last: a larger n_trials may find a better one."
    else:
        text = f"None of the {since} complete trials since trial {best.number} has been better than it."
    return Advice("budget", text)
