"""The studies in a store at a glance, with a handful of queries however many trials they have."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from seqsweep import paths
from seqsweep.errors import StoreError
from seqsweep.reporting.leaderboard import leaderboard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import optuna

    from seqsweep.reporting.leaderboard import Row

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class StudySummary:
    """One study."""

    name: str
    counts: Mapping[str, int] = field(default_factory=dict)
    """Trials by state: complete, pruned, infeasible, failed, running, waiting."""
    n_trials: int | None = None
    """How many are wanted; None where that is not stored."""
    metrics: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    best: float | None = None
    """By the first objective."""
    best_trial: int | None = None
    last_activity: datetime | None = None
    """When a trial last began or ended."""
    folder: Path | None = None
    driver: int | None = None
    """The process that runs it now."""

    @property
    def done(self) -> int:
        """How many trials have ended, in whatever way."""
        return sum(count for state, count in self.counts.items() if state not in {"running", "waiting"})

    @property
    def status(self) -> str:
        """running, finished, or stopped: to be gone on with."""
        if self.driver is not None:
            return "running"
        return "finished" if self.n_trials is not None and self.done >= self.n_trials else "stopped"


def studies(storage_url: str) -> list[StudySummary]:
    """The studies of an Optuna store, oldest first; none where there is no store yet.

    Raises:
        StoreError: the store cannot be read.
    """
    if not storage_url.startswith(_SQLITE):
        return _from_optuna(storage_url)
    file = Path(storage_url.removeprefix(_SQLITE))
    if not file.exists():
        return []
    try:
        with _open(file) as store:
            return list(_from_sqlite(store))
    except sqlite3.Error as error:
        raise StoreError(f"{file}: cannot be read as a store of studies ({error})") from error


def driver_of(folder: Path) -> int | None:
    """The process that runs the study in `folder` now, by its lock; None if none does."""
    import fcntl

    lock = folder / paths.STATE / "driver.lock"
    try:
        pid = int(lock.read_text().strip())
        os.kill(pid, 0)
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return pid
    except (OSError, ValueError):
        return None
    return None


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=20)) as store:
        yield store


_STATES = """
    SELECT t.study_id, COALESCE(a.value_json, t.state), COUNT(*),
        MAX(COALESCE(t.datetime_complete, t.datetime_start))
    FROM trials t
    LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'seqsweep.state'
    GROUP BY 1, 2
"""
_DIRECTIONS = "SELECT study_id, direction FROM study_directions ORDER BY objective"
_ATTRIBUTES = "SELECT study_id, key, value_json FROM study_user_attributes"
_BEST = """
    SELECT t.study_id, t.number, {extreme}(v.value)
    FROM trials t
    JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 AND v.value_type = 'FINITE'
    WHERE t.state = 'COMPLETE'
    GROUP BY t.study_id
"""


def _from_sqlite(store: sqlite3.Connection) -> Iterator[StudySummary]:
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    activity: dict[int, str] = defaultdict(str)
    for study, state, count, latest in store.execute(_STATES):
        counts[study][_state(state)] += count
        activity[study] = max(activity[study], latest or "")
    directions: dict[int, list[str]] = defaultdict(list)
    for study, direction in store.execute(_DIRECTIONS):
        directions[study].append(direction.lower())
    attributes: dict[int, dict[str, Any]] = defaultdict(dict)
    for study, key, value in store.execute(_ATTRIBUTES):
        attributes[study][key] = json.loads(value)
    lowest, highest = (_extremes(store, extreme) for extreme in ("MIN", "MAX"))
    for study, name in store.execute("SELECT study_id, study_name FROM studies ORDER BY study_id"):
        values = highest if directions[study][:1] == ["maximize"] else lowest
        best, latest = values.get(study, (None, None)), _moment(activity[study])
        yield _summary(
            name,
            counts=counts[study],
            attributes=attributes[study],
            directions=directions[study],
            best=best,
            latest=latest,
        )


def _extremes(store: sqlite3.Connection, extreme: str) -> dict[int, tuple[int, float]]:
    """By study, the trial that has the extreme value, and the value."""
    rows = store.execute(_BEST.format(extreme=extreme))
    return {study: (number, value) for study, number, value in rows}


def _from_optuna(storage_url: str) -> list[StudySummary]:
    import optuna

    try:
        names = optuna.get_all_study_names(storage_url)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        raise StoreError(f"{storage_url}: cannot be read as a store of studies ({error})") from error
    return [summary(optuna.load_study(study_name=name, storage=storage_url)) for name in names]


def summary(study: optuna.Study, rows: Sequence[Row] = ()) -> StudySummary:
    """What `studies` says of a study that is loaded already, as its leaderboard may be."""
    rows = rows or leaderboard(study)
    best = (rows[0].trial, rows[0].value) if rows and rows[0].state == "complete" else (None, None)
    times = [trial.datetime_complete or trial.datetime_start for trial in study.get_trials(deepcopy=False)]
    latest = max((moment.astimezone() for moment in times if moment), default=None)
    directions = [direction.name.lower() for direction in study.directions]
    counts = Counter(row.state for row in rows)
    return _summary(
        study.study_name,
        counts=counts,
        attributes=study.user_attrs,
        directions=directions,
        best=best,
        latest=latest,
    )


def _summary(
    name: str,
    *,
    counts: Mapping[str, int],
    attributes: Mapping[str, Any],
    directions: list[str],
    best: tuple[int | None, float | None],
    latest: datetime | None,
) -> StudySummary:
    metric = attributes.get("seqsweep.metric") or ()
    # another program's study may be called anything, which need not be a folder's name
    usual = paths.study_folder(name) if Path(name).name == name and name != ".." else None
    folder = Path(attributes["seqsweep.folder"]) if attributes.get("seqsweep.folder") else usual
    return StudySummary(
        name=name,
        counts=counts,
        n_trials=attributes.get("seqsweep.n_trials"),
        metrics=(metric,) if isinstance(metric, str) else tuple(metric),
        directions=tuple(directions),
        best=best[1],
        best_trial=best[0],
        last_activity=latest,
        folder=folder if folder is not None and folder.is_dir() else None,
        driver=None if folder is None else driver_of(folder),
    )


def _state(stored: str) -> str:
    """Optuna's name, or ours, which is stored as JSON."""
    word = stored.strip('"')
    return {"FAIL": "failed"}.get(word, word.lower())


def _moment(stored: str | None) -> datetime | None:
    """The store keeps UTC without saying so."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).astimezone() if stored else None
