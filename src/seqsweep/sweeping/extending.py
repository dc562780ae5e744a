"""Widening a stored study's search space, its trials kept.

Optuna holds a parameter's choices fixed for a study's life, so the study is written
anew under its own name. A whole copy lies beside it meanwhile: killed at any moment,
`complete` finishes the work, or takes back what was hardly begun.
"""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from seqsweep.errors import StudyError
from seqsweep.sweeping.space import Parameter

WHOLE = "seqsweep.whole"


def begin(
    storage: BaseStorage, name: str, parameters: Mapping[str, Parameter], attributes: Mapping[str, object]
) -> None:
    """Copy the study with the distributions of `parameters`; `complete` puts the copy in its place.

    Raises StudyError if a trial was drawn from what `parameters` do not hold; nothing has changed then.
    """
    study = optuna.load_study(study_name=name, storage=storage)
    trials = [_widened(trial, parameters) for trial in study.get_trials()]
    _delete(storage, _spare(name))
    spare = _copy(storage, study, _spare(name), trials, dict(attributes))
    spare.set_user_attr(WHOLE, True)


def complete(storage: BaseStorage, name: str) -> None:
    """Finish what a `begin` left, if anything."""
    try:
        spare = optuna.load_study(study_name=_spare(name), storage=storage)
    except KeyError:
        return
    if spare.user_attrs.get(WHOLE):
        _delete(storage, name)
        _copy(storage, spare, name, spare.get_trials(), {})
    _delete(storage, _spare(name))


def _spare(name: str) -> str:
    return f"{name}~"  # no name of a user's: it could not name a folder


def _delete(storage: BaseStorage, name: str) -> None:
    try:
        optuna.delete_study(study_name=name, storage=storage)
    except KeyError:
        return


def _copy(
    storage: BaseStorage,
    study: optuna.Study,
    name: str,
    trials: list[FrozenTrial],
    attributes: dict[str, object],
) -> optuna.Study:
    copy = optuna.create_study(study_name=name, storage=storage, directions=study.directions)
    for key, value in {**study.user_attrs, **attributes}.items():
        if key != WHOLE:
            copy.set_user_attr(key, value)
    copy.add_trials(trials)
    return copy


def _widened(trial: FrozenTrial, parameters: Mapping[str, Parameter]) -> FrozenTrial:
    for key, old in trial.distributions.items():
        if key not in parameters or not parameters[key].widens(old):
            now = parameters[key].distribution if key in parameters else "not searched"
            raise StudyError(
                f"hydra.sweeper.on_change=extend: {key}: {old} -> {now}: expected a range or choices that "
                "hold all of the old ones, on the same scale; on_change=fresh begins a new study"
            )
    trial.distributions = {key: parameters[key].distribution for key in trial.distributions}
    return trial
