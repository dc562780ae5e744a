"""A study as a sweep leaves it, made without training: in Optuna, in MLflow and on the disk."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from seqsweep import paths
from seqsweep.sweeping import connect
from seqsweep.tracking import Recorder, Spool, StudyRecord

SPACE = {
    "model": CategoricalDistribution(("gru", "lstm")),
    "model.hidden_size": IntDistribution(4, 64),
    "optimizer.lr": FloatDistribution(1e-4, 1e-1, log=True),
}
VALUES = (0.5, 0.25, None, 0.75)
"""Of the trials; None for the one that failed."""


def make(name: str = "own", *, record: bool = True, folder: bool = True) -> None:
    """Four trials, of which the second is the best and the third failed."""
    uid = f"uid-of-{name}"
    study = optuna.create_study(study_name=name, storage=connect(paths.study_storage()))
    for key, value in {"metric": ["val/loss"], "uid": uid, "folder": str(paths.study_folder(name))}.items():
        study.set_user_attr(f"seqsweep.{key}", value)
    for number, value in enumerate(VALUES):
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
                value=value,
                params={"model": "gru", "model.hidden_size": 8 * (number + 1), "optimizer.lr": 0.01},
                distributions=SPACE,
                user_attrs={"seqsweep.error": "ValueError: no"} if value is None else {},
            )
        )
    if record:
        _record(name, uid)
    if folder:
        (paths.study_folder(name) / paths.STATE).mkdir(parents=True, exist_ok=True)
        (paths.study_folder(name) / "0").mkdir(exist_ok=True)


def _record(name: str, uid: str) -> None:
    own = paths.study_folder(name)
    study = StudyRecord(name=name, uid=uid, directory=own, metric="best/val/loss")
    with Recorder(paths.tracking_uri(), "tests", paths.artifacts(), study, interval=0.05) as recorder:
        for number, value in enumerate(VALUES):
            folder = Path(own / str(number))
            folder.mkdir(parents=True)
            with Spool(folder) as spool:
                if value is not None:
                    spool.log_metrics({"val/loss": value}, 1)
                    spool.log_metrics({"best/val/loss": value}, 1)
                spool.end("failed" if value is None else "complete")
            recorder.follow(folder, name=f"{name}/{number}", trial=number)
        recorder.study(tags={"seqsweep.best_trial": "1"})
