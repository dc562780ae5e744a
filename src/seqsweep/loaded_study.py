"""``seqsweep.load_study``: a stored study in Python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.errors import StoreError, StudyError
from seqsweep.loaded_run import LoadedRun, load_run
from seqsweep.reporting.finding import open_study
from seqsweep.reporting.leaderboard import leaderboard
from seqsweep.reporting.runs import search
from seqsweep.tracking.mlflow_store import store_errors
from seqsweep.tracking.stores import embedded_file, server_manners

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import optuna
    import pandas as pd
    from mlflow.entities import Run
    from optuna.trial import FrozenTrial

    from seqsweep.reporting.leaderboard import Row

SHOWN = ("best/", "test/")
"""Metrics of its Run that a trial's row shows."""


def load_study(name: str, storage: str | None = None, *, tracking_uri: str | None = None) -> LoadedStudy:
    """A stored study, as it is now.

        study = seqsweep.load_study("digits")
        study.best.params                       # {'model': 'gru', 'optimizer.lr': 0.0031}
        study.to_pandas().sort_values("value")
        optuna.visualization.plot_slice(study.optuna)

    Args:
        name: the study's, as `seqsweep list` shows it.
        storage: an Optuna URL; without one where the study's folder says, else ``optuna.db`` here, or under
            ``SEQSWEEP_HOME``.
        tracking_uri: MLflow's; without one where the study was recorded.

    Raises:
        StudyError: there is no such study; the message says which there are.
        StoreError: the store is not there or cannot be read.

    """
    study = open_study(name, storage)
    recorded = tracking_uri or study.user_attrs.get("seqsweep.tracking")
    return LoadedStudy(study, recorded or paths.tracking_uri())


@dataclass(frozen=True)
class LoadedTrial:
    """One trial of a study."""

    number: int
    state: str
    """complete, pruned, failed, infeasible, running or waiting"""
    value: float | None
    """By the first objective; a pruned trial's is its best until then."""
    values: tuple[float, ...]
    """One an objective, of a complete trial."""
    params: Mapping[str, Any]
    seconds: float | None
    start: datetime | None
    end: datetime | None
    error: str
    """Why it failed or was infeasible."""
    study: str
    tracking_uri: str

    @property
    def run(self) -> LoadedRun:
        """Its record in MLflow. Raises StudyError if it has none."""
        return load_run(f"{self.study}/{self.number}", tracking_uri=self.tracking_uri)


class LoadedStudy:
    """A stored study: its trials, the best of them, and Optuna's own object; from `load_study`."""

    def __init__(self, study: optuna.Study, tracking_uri: str) -> None:
        self.optuna = study
        """For whatever Optuna can do with it."""
        self._tracking_uri = tracking_uri

    def __repr__(self) -> str:
        return f"LoadedStudy('{self.name}', {len(self.trials)} trials)"

    @property
    def name(self) -> str:
        """The study's."""
        return self.optuna.study_name

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is optimised; ``objective`` where the store does not say."""
        stored = self.optuna.user_attrs.get("seqsweep.metric") or ()
        names = (stored,) if isinstance(stored, str) else tuple(stored)
        count = len(self.optuna.directions)
        unknown = tuple(f"objective_{place}" for place in range(count)) if count > 1 else ("objective",)
        return names if len(names) == count else unknown

    @property
    def directions(self) -> tuple[str, ...]:
        """``minimize`` or ``maximize`` for each metric."""
        return tuple(direction.name.lower() for direction in self.optuna.directions)

    @property
    def metric(self) -> str:
        """The first of `metrics`."""
        return self.metrics[0]

    @property
    def direction(self) -> str:
        """The first of `directions`."""
        return self.directions[0]

    @cached_property
    def trials(self) -> tuple[LoadedTrial, ...]:
        """All trials in the order of their numbers."""
        stored = {trial.number: trial for trial in self.optuna.get_trials(deepcopy=False)}
        rows = sorted(leaderboard(self.optuna), key=lambda row: row.trial)
        return tuple(self._trial(row, stored[row.trial]) for row in rows)

    @property
    def best(self) -> LoadedTrial:
        """The best complete trial by the first metric, the earliest of equals.

        Raises:
            StudyError: none is complete.

        """
        sign = -1.0 if self.direction == "maximize" else 1.0
        complete = [trial for trial in self.trials if trial.values]
        if not complete:
            raise StudyError(f"no trial of study '{self.name}' is complete yet")
        return min(complete, key=lambda trial: sign * trial.values[0])

    def to_pandas(self) -> pd.DataFrame:
        """One row a trial, whose number is the index.

        Columns: ``state``, ``value`` (with several objectives one a metric, ``value/val/loss``), the
        parameters by their keys, ``seconds``, ``start``, ``end``, ``run`` (MLflow's id), the ``best/...`` and
        ``test/...`` metrics that MLflow has, ``error``.

        Raises:
            StoreError: the tracking store cannot be read. One that is not there is left out.

        """
        import pandas as pd

        trials = self.trials
        runs = self._runs()
        columns: dict[str, pd.Series[Any]] = {
            "state": _texts([trial.state for trial in trials]),
            **self._values(),
            **self._params(),
            "seconds": _numbers(trial.seconds for trial in trials),
            "start": _times(trial.start for trial in trials),
            "end": _times(trial.end for trial in trials),
            "run": _texts(runs[one.number].info.run_id if one.number in runs else None for one in trials),
            **self._recorded(runs),
            "error": _texts([trial.error for trial in trials]),
        }
        table = pd.DataFrame(columns)
        table.index = pd.Index([trial.number for trial in trials], name="trial", dtype="int64")
        return table

    def _trial(self, row: Row, stored: FrozenTrial) -> LoadedTrial:
        start, end = stored.datetime_start, stored.datetime_complete
        return LoadedTrial(
            row.trial,
            row.state,
            row.value,
            row.values,
            row.params,
            row.seconds,
            start.astimezone() if start else None,
            end.astimezone() if end else None,
            row.text,
            self.name,
            self._tracking_uri,
        )

    def _values(self) -> dict[str, pd.Series[Any]]:
        if len(self.metrics) == 1:
            return {"value": _numbers(trial.value for trial in self.trials)}
        return {
            f"value/{metric}": _numbers(
                trial.values[place] if trial.values else None for trial in self.trials
            )
            for place, metric in enumerate(self.metrics)
        }

    def _params(self) -> dict[str, pd.Series[Any]]:
        """A column a parameter; whole numbers stay whole where some trials have none."""
        import pandas as pd

        names = dict.fromkeys(name for trial in self.trials for name in trial.params)
        columns: dict[str, pd.Series[Any]] = {}
        for name in names:
            column = pd.Series([trial.params.get(name) for trial in self.trials], dtype="object")
            whole = all(type(value) is int for value in column.dropna())
            columns[name] = column.astype("Int64") if whole else column.infer_objects()
        return columns

    def _recorded(self, runs: Mapping[int, Run]) -> dict[str, pd.Series[Any]]:
        """The metrics of each trial's Run."""
        metrics = [runs[trial.number].data.metrics if trial.number in runs else {} for trial in self.trials]
        names = sorted({name for known in metrics for name in known if name.startswith(SHOWN)})
        return {name: _numbers(known.get(name) for known in metrics) for name in names}

    def _runs(self) -> dict[int, Run]:
        """Each trial's Run; none where there is no tracking store."""
        from seqsweep.reporting.links import open_store

        file, uid = embedded_file(self._tracking_uri), self.optuna.user_attrs.get("seqsweep.uid")
        if uid is None or (file is not None and not file.exists()):
            return {}
        try:
            with server_manners(self._tracking_uri):
                found = search(open_store(self._tracking_uri), f"tags.`seqsweep.study_uid` = '{uid}'")
        except store_errors() as error:
            raise StoreError(f"tracking store {self._tracking_uri} cannot be read: {error}") from error
        numbers = {run.data.tags.get("seqsweep.trial", ""): run for run in found}
        return {int(number): run for number, run in numbers.items() if number.isdecimal()}


def _texts(values: Iterable[str | None]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(list(values), dtype="str")


def _numbers(values: Iterable[float | None]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(list(values), dtype="float64")


def _times(values: Iterable[datetime | None]) -> pd.Series[Any]:
    import pandas as pd

    return pd.to_datetime(pd.Series(list(values), dtype="object"), utc=True)
