"""Which Runs of the store belong to which folders, found without reading all of a long study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqsweep.tracking.draining import Place
from seqsweep.tracking.following import UID_TAG, Drain, KnownRun, Request, own_uid
from seqsweep.tracking.mlflow_store import STATUS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow.entities import Run

    from seqsweep.tracking.mlflow_store import MlflowStore
    from seqsweep.tracking.study_record import StudyRecord

PARENT_TAG = "mlflow.parentRunId"
"""By which MLflow hangs a Run under another."""
_PARENT = "study"
_STUDY, _TRIAL = "seqsweep.study_uid", "seqsweep.trial"


class KnownRuns:
    """The Runs that a store has already, of a study or of runs by themselves.

    To find a Run MLflow reads all that is in it, and of a thousand that takes it three
    seconds. So where the store has all that the trials' folders say that it has, a
    trial's Run is looked for alone, and that of a finished trial not at all.
    """

    def __init__(self, study: StudyRecord | None) -> None:
        self._study = study
        self._runs: dict[str, KnownRun] = {}
        self._all = self._lost = False

    def open(self, store: MlflowStore) -> None:
        """The store has been opened, or opened again: find the study's own Run."""
        if self._study:
            self._learn(store.find({_STUDY: self._study.uid, "seqsweep.kind": "study"}))

    def look(self, store: MlflowStore, parent: Drain) -> None:
        """Find the trials' Runs, where the store may not have all that it should."""
        assert self._study is not None
        if self._lost or not self._whole(store, self._study, parent):
            parent.whole = False
            found = store.find({_STUDY: self._study.uid})
            self._learn(found)
            self._all, self._lost = True, False
            for run in found:  # where the study's own Run was deleted, the trials' hang under the new one
                if _TRIAL in run.data.tags and run.data.tags.get(PARENT_TAG) != parent.run.run_id:
                    store.log(run.info.run_id, tags={PARENT_TAG: parent.run.run_id})

    def find(self, store: MlflowStore, request: Request, place: Place) -> KnownRun | None:
        """The Run of that folder, if there is one; `place` says how far the folder has been handed on."""
        if not request.identity:
            uid, was_there = own_uid(request.directory)
            return _only(store.find({UID_TAG: uid})) if was_there else None
        found = self._runs.get(_key(request))
        if found or self._all or _key(request) == _PARENT:
            return found
        assert self._study is not None
        new = int(_key(request)) >= (self._study.begun or 0)
        if new and place.run_id is None:
            return None
        if place.run_id and not new and place.passed(request.directory):
            return KnownRun(place.run_id)
        return _only(store.find(request.identity))

    def keep(self, request: Request, run: KnownRun) -> None:
        """That Run has been made for the folder."""
        if request.identity:
            self._runs[_key(request)] = run

    def lose(self) -> None:
        """The store did not answer when a Run was to be made: there may be one all the same."""
        self._lost = True

    def _whole(self, store: MlflowStore, study: StudyRecord, parent: Drain) -> bool:
        """Whether the store has all that the trials' folders say that it has."""
        if study.begun is None:
            return False
        if parent.run.made and study.begun == 0:
            parent.whole = True
        if not parent.whole:
            return False
        # One that was put back from a copy lacks the last Run, or its end; one that another copy of the
        # project has written to knows more trials.
        places = (Place.load(study.folder / str(number)) for number in reversed(range(study.begun)))
        last = next((place for place in places if place.run_id), Place())
        if last.run_id:
            status = store.status(last.run_id)
            if status is None or (last.state and status != STATUS[last.state]):
                return False
        return not store.find({_STUDY: study.uid, _TRIAL: str(study.begun)})

    def _learn(self, runs: Iterable[Run]) -> None:
        self._runs |= {run.data.tags.get(_TRIAL, _PARENT): _known(run) for run in runs}


def _key(request: Request) -> str:
    return request.identity.get(_TRIAL, _PARENT)


def _only(runs: list[Run]) -> KnownRun | None:
    return _known(runs[0]) if runs else None


def _known(run: Run) -> KnownRun:
    return KnownRun(run.info.run_id, dict(run.data.params), running=run.info.status == "RUNNING")
