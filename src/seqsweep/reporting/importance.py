"""How much each searched parameter mattered: PED-ANOVA.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
Importance in Arbitrary Subspaces", IJCAI 2023; conditional parameters as in
arXiv:2601.20800. Optuna has it too, and the tests hold ours to it for numbers; but
importing ``optuna.importance`` imports scikit-learn, four seconds that nobody who waits
for a study's end should pay for, and its kernel smooths a choice of two almost away.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

METHOD = "PED-ANOVA"

_BEST_SHARE, _FEWEST_BEST = 0.1, 5
_CELLS = 50
"""A range is cut into so many cells."""
_NARROWEST = 0.5 / 1.64
"""Least bandwidth, in cells: nine tenths of a kernel in the cell it stands in."""


def importance(study: optuna.Study) -> dict[str, float]:
    """Each parameter's share in reaching the best trials, largest first; the shares add up to 1.

    The more the values of the best trials (see `best_trials`) are distributed otherwise
    than those of all trials, the more a parameter mattered; a conditional one counts as
    far as it applied. Empty where nothing can be said: fewer than two complete
    trials with finite values, or all alike.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials = [trial for trial in complete if all(map(math.isfinite, trial.values))]
    best = best_trials(trials, study.directions)
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    found = {name: _divergence(name, trials, best) for name in names}
    total = sum(found.values())
    if not 0 < total < math.inf:
        return {}
    return {name: found[name] / total for name in sorted(found, key=lambda name: (-found[name], name))}


def best_trials(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> set[int]:
    """The numbers of the best tenth of `trials`, of five at least, but of no more than a half.

    With several objectives the Pareto front goes first, then the front of what is left,
    and so on. What is as good as the last of them belongs to them.
    """
    wanted = math.ceil(min(max(_BEST_SHARE * len(trials), _FEWEST_BEST), len(trials) / 2))
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions]
    losses = np.array([trial.values for trial in trials]).reshape(len(trials), len(signs)) * signs
    left, best = np.arange(len(trials)), list[int]()
    while len(best) < wanted:
        leads = _front(losses[left])
        best += left[leads].tolist()
        left = left[~leads]
    return {trials[place].number for place in best}


def _front(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row beats in all columns."""
    if losses.shape[1] == 1:
        return np.asarray(losses[:, 0] == losses.min())
    leads: list[int] = []
    for place in np.lexsort(losses.T[::-1]).tolist():  # nobody is beaten by who comes later
        row, front = losses[place], losses[leads]
        if not ((front <= row).all(1) & (front < row).any(1)).any():
            leads.append(place)
    leading: NDArray[np.bool_] = np.isin(np.arange(len(losses)), leads)
    return leading


def _divergence(name: str, trials: Sequence[FrozenTrial], best: set[int]) -> float:
    """Pearson divergence of the best trials' values from all trials', over the ranges it was drawn from."""
    regimes: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if name in trial.distributions:  # by its text: a choice may be a list, which has no hash
            regimes.setdefault(repr(trial.distributions[name]), []).append(trial)
    total = 0.0
    for drawn in regimes.values():
        distribution = drawn[0].distributions[name]
        leading = [trial.params[name] for trial in drawn if trial.number in best]
        if distribution.single() or not leading or len(drawn) < 2:
            continue
        everywhere = _density([trial.params[name] for trial in drawn], distribution)
        where_best = _density(leading, distribution)
        divergence = float(everywhere @ (where_best / everywhere - 1) ** 2)
        total += (len(leading) / len(best)) ** 2 / (len(drawn) / len(trials)) * divergence
    return total


def _density(values: Sequence[Any], distribution: BaseDistribution) -> NDArray[np.float64]:
    """How the values lie on a grid over what they were drawn from, a uniform prior among them."""
    if isinstance(distribution, CategoricalDistribution):
        chosen = [round(distribution.to_internal_repr(value)) for value in values]
        counts = np.bincount(chosen, minlength=len(distribution.choices)).astype(float)
    else:
        places, cells = _on_grid(values, distribution)
        counts = _kernels(places, cells).sum(0)
    density: NDArray[np.float64] = (counts + 1 / counts.size) / (len(values) + 1)
    return density


def _on_grid(values: Sequence[float], distribution: Any) -> tuple[NDArray[np.float64], int]:
    """The cell that each value is in, and how many there are."""
    ends = np.array([distribution.low, distribution.high], dtype=float)
    cells = _CELLS
    if distribution.log:
        low, high = np.log(ends)
        at = np.log(values)
        if distribution.step is not None:  # few integers, far apart: no more cells than doublings
            cells = min(cells, math.ceil(math.log2(ends[1] - ends[0] + 1)) + 1)
    else:
        low, high = ends
        at = np.asarray(values, dtype=float)
        if distribution.step is not None:
            cells = min(cells, round((high - low) / distribution.step) + 1)
    places = np.rint((at - low) / (high - low) * (cells - 1))
    return np.clip(places, 0, cells - 1), cells


def _kernels(places: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """A normal kernel at each place, cut off at the ends of the grid: places x cells."""
    count = len(places)
    spread = places.std(ddof=1) if count > 1 else 0.0
    low, high = np.quantile(places, [0.25, 0.75])
    width = max(1.059 * min(spread, (high - low) / 1.34) * count**-0.2, _NARROWEST)  # Scott's rule
    edges = (np.arange(cells + 1) - 0.5 - np.arange(cells)[:, None]) / (width * math.sqrt(2))
    below = np.vectorize(math.erf, otypes=[float])(edges)  # one row a possible place
    masses = np.diff(below, axis=1)
    masses /= masses.sum(axis=1, keepdims=True)
    kernels: NDArray[np.float64] = masses[places.astype(int)]
    return kernels
