"""The one writer into MLflow: a thread of the driver that drains the spools of its runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, SupportsFloat

from seqsweep.errors import RecordError, StoreError, first_line
from seqsweep.tracking import addresses, provenance
from seqsweep.tracking.draining import Place
from seqsweep.tracking.following import UID_TAG, Drain, KnownRun, Request, last_words, own_uid
from seqsweep.tracking.known_runs import PARENT_TAG, KnownRuns
from seqsweep.tracking.mlflow_store import MlflowStore, refused, store_errors
from seqsweep.tracking.spool import Spool
from seqsweep.tracking.stores import server_manners

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from seqsweep.tracking.base import State
    from seqsweep.tracking.study_record import StudyRecord

_LONGEST_WAIT = 30.0

_SHARE, _SLOWEST = 0.05, 5
"""How much of a processor the passes may take from the trials; but one comes every so many intervals."""


class Recorder:
    """Drains the folders it follows into MLflow, every one to five seconds and on request.

    Returns at once: mlflow is imported and the store opened in the thread. While the
    store cannot be reached the records stay in the spools and are tried again.
    Killed at any moment, another recorder of the same study goes on where it was.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        artifacts: Path,
        study: StudyRecord | None = None,
        *,
        interval: float = 1.0,
        patience: float = 10.0,
    ) -> None:
        """`patience` is how long `close` goes on trying, in seconds, when nothing gets through."""
        self._uri, self._experiment, self._artifacts, self._study = uri, experiment, artifacts, study
        self._interval, self._patience = interval, patience
        self._requests: list[Request] = []
        self._followed: dict[Path, Request] = {}
        self._drains: dict[Path, Drain] = {}
        self._run_ids: dict[Path, str] = {}
        self._known = KnownRuns(study)
        self._store: MlflowStore | None = None
        self._common: dict[str, str] = {}
        self._problem: Exception | None = None
        self._refusals: list[str] = []
        self._crash: BaseException | None = None
        self._state = threading.Condition()
        self._asked = self._served = 0
        self._closing = self._closed = False
        self._step = -1
        self._said: dict[str, str] = {}
        self._begun = False
        self._parent = self._follow_parent(study) if study else None
        self._thread = threading.Thread(target=self._live, name="seqsweep-recorder", daemon=True)
        self._thread.start()

    def __enter__(self) -> Recorder:
        """The recorder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    # ------------------------------------------------------------ for the driver

    def follow(
        self,
        directory: Path,
        name: str,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        trial: int | None = None,
    ) -> None:
        """Drain that folder's spool into its Run, which is found again or made.

        In a study the Run is the parent's child, one a trial. A folder whose run has
        ended is let go; following it again takes up what was appended since, and
        costs next to nothing if that is nothing.
        """
        own = {"seqsweep.kind": "run", **(tags or {})}
        if self._study and trial is not None:
            identity = {"seqsweep.study_uid": self._study.uid, "seqsweep.trial": str(trial)}
            own |= {"seqsweep.kind": "trial", "seqsweep.study": self._study.name}
        else:
            identity = {}
        text = {key: str(value) for key, value in (params or {}).items()}
        request = Request(Path(directory).absolute(), name, identity, own, text)
        if self._parent and not Place.load(request.directory).passed(request.directory):
            self._begin(self._parent)
        with self._state:
            self._requests.append(request)

    def study(
        self,
        metrics: Mapping[str, SupportsFloat] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int | None = None,
        artifacts: Iterable[str | Path] = (),
    ) -> None:
        """Bring the parent Run up to date; what it says already is not said again.

        `step` counts on by itself if it is not given.
        """
        parent = self._of_study()
        values = {key: float(value) for key, value in (metrics or {}).items()}
        labels = {key: text for key, text in (tags or {}).items() if self._said.get(key) != text}
        files = list(artifacts)
        changed = any(self._said.get(key) != repr(value) for key, value in values.items())
        if not (changed or labels or files):
            return
        self._begin(parent)
        self._said |= labels | {key: repr(value) for key, value in values.items()}
        if labels:
            parent.set_tags(labels)
        if changed:
            self._step = step if step is not None else self._step + 1
            parent.log_metrics(values, self._step)
        for path in files:
            parent.log_artifact(path)

    def finish(self, state: State | Literal["interrupted"]) -> None:
        """The study is over for now; another recorder of it takes the parent Run up again.

        A study that was over in that state already, and to which nothing has come, stays as it is.
        """
        parent = self._of_study()
        if self._begun or Place.load(parent.directory).state != state:
            parent.end(state)
        self._begun = False

    def run_id(self, directory: Path) -> str | None:
        """The Run of that folder; None until the store has it (see `drain`)."""
        with self._state:
            return self._run_ids.get(Path(directory).absolute())

    @property
    def parent_run_id(self) -> str | None:
        """The study's Run; None until the store has it."""
        return self.run_id(self._study.folder) if self._study else None

    @property
    def experiment_id(self) -> str | None:
        """The experiment; None until the store is open."""
        return self._store.experiment_id if self._store else None

    @property
    def problem(self) -> str | None:
        """Why the store cannot be written to at the moment; None while it can."""
        return None if self._problem is None else first_line(self._problem)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until all that is in the spools now is in the store.

        False if the store does not take it (see `problem`), or not within `timeout` seconds.
        """
        target = self.wake()
        with self._state:
            self._state.wait_for(lambda: self._served >= target or self._closed, timeout)
            return self._served >= target and self._problem is None

    def wake(self) -> int:
        """Begin a pass now, beside the caller; the number under which it is served."""
        if self._parent:
            self._parent.flush()
        with self._state:
            self._asked += 1
            self._state.notify_all()
            return self._asked

    def close(self) -> None:
        """Drain everything, then end the thread. Safe to call twice.

        Raises:
            RecordError: the store did not take everything. The records that it lacks
                stay in the spools, for the next recorder.
        """
        if self._parent:
            self._parent.close()
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join()
        if self._crash is not None:
            crash, self._crash = self._crash, None
            raise crash
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise self._left_over(problem) from problem
        if self._refusals:
            refusals, self._refusals = self._refusals, []
            raise RecordError(f"not recorded in {self._uri}: {'; '.join(refusals)}")

    # ------------------------------------------------------------ the thread

    def _live(self) -> None:
        try:
            with server_manners(self._uri):
                self._work()
        except BaseException as error:  # a mistake of ours: it belongs to whoever closes
            self._crash = error
        finally:
            with self._state:
                self._closed = True
                self._state.notify_all()

    def _work(self) -> None:
        tried_until: float | None = None
        pause = self._interval
        while True:
            with self._state:
                closing, asked = self._closing, self._asked
            began = time.monotonic()
            stored = self._attempt()
            took = time.monotonic() - began
            self._serve(asked)
            if stored:
                if closing:
                    self._settle()
                    return
                tried_until, pause = None, self._interval
                wait = min(max(self._interval, took / _SHARE), _SLOWEST * self._interval)
            elif closing:
                tried_until = tried_until or time.monotonic() + self._patience
                if time.monotonic() >= tried_until:
                    return
                wait = 0.5
            else:
                wait = pause = min(2 * pause, _LONGEST_WAIT)
            self._wait(wait, asked, closing)

    def _attempt(self) -> bool:
        """One pass over all that is followed; whether the store was there."""
        self._take_requests()
        errors: tuple[type[Exception], ...] = (ImportError,)
        problem: Exception | None = None
        try:
            errors = (*store_errors(), StoreError)
            store = self._store or self._open()
            for request in list(self._followed.values()):
                problem = self._drain(store, request) or problem
        except errors as error:
            problem = error
        self._problem = problem
        return problem is None

    def _drain(self, store: MlflowStore, request: Request) -> OSError | None:
        """Hand on one folder's records; the problem if its files cannot be used now, the others' may.

        Raises what the store raises, unless that says that it will never take the
        records: then the folder is let go, and `close` tells.
        """
        try:
            drain = self._drains.get(request.directory) or self._attach(store, request)
            if drain:
                drain.drain(store)
        except OSError as error:
            if request.directory.is_dir():
                return error
            self._refuse(request, error)
        except store_errors() as error:
            if not refused(error):
                raise
            self._refuse(request, error)
        else:
            if (drain is None or drain.finished) and not self._is_parent(request):
                self._let_go(request)
        return None

    def _refuse(self, request: Request, error: Exception) -> None:
        self._refusals.append(f"{request.directory} ({first_line(error)})")
        if parent := self._study and self._drains.get(self._study.folder):
            parent.whole = False
        self._let_go(request)

    def _open(self) -> MlflowStore:
        store = MlflowStore(self._uri, self._experiment, self._artifacts)
        self._common = self._common or provenance.common_tags()
        self._known.open(store)
        if self._study:
            self._open_parent(store, self._study)
        self._store = store
        return store

    def _open_parent(self, store: MlflowStore, study: StudyRecord) -> None:
        """The parent's Run before any child's, and the view on the study's table."""
        drain = self._attach(store, self._followed[study.folder])
        assert drain is not None
        self._known.look(store, drain)
        parent = self._run_ids[study.folder]
        self._common[PARENT_TAG] = parent
        view = addresses.view_state(parent, study.metric, study.direction, study.searched, study.others)
        store.tag_experiment(addresses.view_tag(study.uid), view)

    def _attach(self, store: MlflowStore, request: Request) -> Drain | None:
        """Find the Run or make it; None if it has everything already."""
        place = Place.load(request.directory)
        run = self._known.find(store, request, place) or self._create(store, request)
        with self._state:
            self._run_ids[request.directory] = run.run_id
        told = place.run_id == run.run_id and not run.running and place.passed(request.directory)
        if told and not self._is_parent(request):
            return None
        drain = self._drains[request.directory] = Drain(request, run)
        return drain

    def _create(self, store: MlflowStore, request: Request) -> KnownRun:
        identity = request.identity or {UID_TAG: own_uid(request.directory)[0]}
        tags = {**self._common, **request.tags, **identity}
        try:
            run = KnownRun(store.create(request.name, tags, request.began()), made=True)
        except Exception:
            self._store = None  # an answer that got lost may have made the Run all the same: look again
            self._known.lose()
            raise
        self._known.keep(request, run)
        return run

    def _let_go(self, request: Request) -> None:
        del self._followed[request.directory]
        self._drains.pop(request.directory, None)

    def _settle(self) -> None:
        """All that this driver knows of is in the store; where it knows all trials, so are these."""
        if self._study and self._study.begun is not None and not self._refusals:
            self._drains[self._study.folder].whole = True

    def _is_parent(self, request: Request) -> bool:
        return self._study is not None and request.directory == self._study.folder

    # ------------------------------------------------------------ inside

    def _follow_parent(self, study: StudyRecord) -> Spool:
        tags = {
            **study.tags,
            "seqsweep.kind": "study",
            "seqsweep.study": study.name,
            "seqsweep.direction": study.direction,
            **({"seqsweep.metric": study.metric} if study.metric else {}),
        }
        params = {key: str(value) for key, value in study.params.items()}
        identity = {"seqsweep.study_uid": study.uid}
        spool = Spool(study.folder, interval=self._interval)
        self._step = spool.last_step
        self._said = last_words(study.folder)
        self._followed[study.folder] = Request(study.folder, study.name, identity, tags, params)
        return spool

    def _begin(self, parent: Spool) -> None:
        """Something new comes to the study: its Run is running, whatever it was."""
        if self._begun:
            return
        parent.begin()
        assert self._study is not None
        for path in (*self._study.files, *provenance.keep_diff(self._study.folder)):
            parent.log_artifact(path)
        self._begun = True

    def _of_study(self) -> Spool:
        if self._parent is None:
            raise ValueError("this recorder has no study")
        return self._parent

    def _take_requests(self) -> None:
        with self._state:
            requests, self._requests = self._requests, []
        for request in requests:
            self._followed.setdefault(request.directory, request)

    def _serve(self, asked: int) -> None:
        with self._state:
            self._served = asked
            self._state.notify_all()

    def _wait(self, seconds: float, asked: int, closing: bool) -> None:
        """Until there is something to do: time is up, or somebody asks for it anew."""
        with self._state:
            self._state.wait_for(lambda: self._asked > asked or self._closing > closing, seconds)

    def _left_over(self, problem: Exception) -> RecordError:
        self._take_requests()
        counts = [count for folder in self._followed if (count := Place.load(folder).waiting(folder))]
        who = "the next start of the same command" if self._study else "another run in the same folder"
        return RecordError(
            f"tracking store {self._uri} cannot be written to: {first_line(problem)}. Nothing is lost: "
            f"{sum(counts)} records of {len(counts)} runs wait in the runs' folders, and {who} "
            "hands them over"
        )
