"""How much each searched parameter mattered."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

METHOD = "PED-ANOVA"
"""Watanabe, Bansal and Hutter, IJCAI 2023; with conditional parameters as in arXiv:2601.20800."""

_QUANTILE, _FEWEST_AT_THE_TOP = 0.1, 5


def importance(study: optuna.Study) -> dict[str, float]:
    """Each parameter's share in reaching the best trials, largest first; the shares add up to 1.

    PED-ANOVA asks how the values of the best trials (see `best_share`) are distributed
    otherwise than those of all; a conditional parameter counts as far as it applies.
    With several objectives the best trials are those nearest to the Pareto front.
    Empty where nothing can be said: fewer than two complete trials, or all alike.
    """
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {tuple(trial.values) for trial in complete}
    if len(values) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best_share(len(complete)))
    with warnings.catch_warnings():  # about ties, which leave nothing to tell apart
        warnings.simplefilter("ignore")
        found = evaluator.evaluate(study)
    total = sum(found.values())
    if not (total > 0 and math.isfinite(total)):
        return {}
    shares = {name: value / total for name, value in found.items()}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def best_share(complete: int) -> float:
    """Which part of so many complete trials counts as the best: a tenth, but five where there are ten."""
    return min(max(_QUANTILE, _FEWEST_AT_THE_TOP / max(complete, 1)), 0.5)
