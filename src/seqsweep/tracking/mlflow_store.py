"""MLflow's tracking store, as the recorder writes to it. The only module here that imports mlflow."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import re
import threading
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

from seqsweep.errors import StoreError, first_line
from seqsweep.later import uncollected
from seqsweep.tracking.databases import deleted
from seqsweep.tracking.stores import embedded_file, is_server, server_manners, store_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Experiment, Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    from seqsweep.tracking.base import Dataset

# MLflow's limits a batch are 1000 things, 100 params, 100 tags and 1 MB; these stay below in sum.
_METRICS, _PARAMS, _TAGS = 800, 100, 100
_CHARACTERS = 300_000
"""Of what is alike in a batch, at most."""
_KEY_LENGTH, _PARAM_LENGTH, _TAG_LENGTH = 250, 6000, 8000
_CUT = " … (cut)"

_importing = threading.RLock()
"""Held while MLflow is imported: its modules import one another in circles, which two threads can break."""

STATUS = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "infeasible": "FAILED",
}
"""MLflow's nearest status of each of our states."""


def connect(uri: str) -> MlflowClient:
    """A client of the store at `uri`, which is created if it is an embedded one. Takes seconds."""
    _quiet()
    with _importing:
        from mlflow import MlflowClient

    for chatty in ("mlflow.store.db.utils", "mlflow.tracking._tracking_service.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with store_lock(uri):
        file = embedded_file(uri)
        if file is not None and not file.exists():
            _create(uri, file)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def import_beside(*later: str) -> None:
    """Import what `connect` needs, then `later`, in a thread of its own: it is there when it is needed."""
    _quiet()

    def work() -> None:
        with suppress(Exception), uncollected():  # whoever needs it will say so
            for name in ("mlflow", "mlflow.store.tracking.sqlalchemy_store", *later):
                with _importing:
                    importlib.import_module(name)

    threading.Thread(target=work, name="seqsweep-import", daemon=True).start()


def _quiet() -> None:
    """Say so before mlflow is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # with a server, two lines a Run into the middle of our own view
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def _create(uri: str, file: Path) -> None:
    """Make an embedded store beside its place and move it there whole.

    One whose maker was killed half-way through its tables could never be opened again.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    beside = file.with_name(file.name + ".new")
    for leftover in ("", "-journal", "-wal", "-shm"):
        beside.with_name(beside.name + leftover).unlink(missing_ok=True)
    store = SqlAlchemyStore(f"{uri}.new", str(file.parent / "mlartifacts"))  # type: ignore[no-untyped-call]
    store.engine.dispose()
    beside.replace(file)


def ask_server(uri: str, experiment: str | None = None) -> None:
    """Whether a tracking server answers us, and has not deleted `experiment`. Takes seconds.

    Raises:
        StoreError: it refuses us, or is no MLflow server.
    """
    try:
        found = connect(uri).get_experiment_by_name(experiment or "Default")
    except Exception as error:  # a page of another program makes MLflow's client raise what it likes
        raise _unlike_mlflow(uri, error) from None
    if experiment and found is not None and found.lifecycle_stage != "active":
        raise deleted(experiment, uri, found.experiment_id)


def _unlike_mlflow(uri: str, error: Exception) -> StoreError:
    code = getattr(error, "error_code", "")
    reason = first_line(error)
    if code in {"UNAUTHENTICATED", "PERMISSION_DENIED"} or "error code 401" in reason:
        return StoreError(
            f"tracking server {uri} refuses who we say we are: expected MLFLOW_TRACKING_TOKEN, or "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, to name somebody who may use it"
        )
    return StoreError(f"{uri} does not answer as an MLflow server does: {reason[:200]}")


class MlflowStore:
    """One experiment of a tracking store. Every write to an embedded store holds its lock.

    Raises:
        StoreError: the experiment was deleted.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path) -> None:
        self.uri = uri
        self._client = connect(uri)
        self._artifacts: dict[str, ArtifactRepository] = {}
        """Where the files of a run go, by its id, until it ends."""
        self.experiment_id = self._experiment(experiment, artifacts)

    def find(self, tags: Mapping[str, str]) -> list[Run]:
        """All runs of the experiment that carry `tags`."""
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], condition, max_results=1000, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def status(self, run_id: str) -> str | None:
        """MLflow's status of a Run, be it deleted; None where there is none."""
        try:
            return str(self._client.get_run(run_id).info.status)
        except store_errors() as error:
            if not refused(error):
                raise
            return None

    def create(self, name: str, tags: Mapping[str, str], start_ms: int) -> str:
        """A new running Run; its id."""
        with store_lock(self.uri):
            run = self._client.create_run(
                self.experiment_id, start_time=start_ms, tags=dict(_clean_tags(tags)), run_name=name
            )
        self._take_files(run)
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        metrics: Iterable[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Metrics (key, value, time in ms, step), params and tags, in as few batches as the limits allow."""
        from mlflow.entities import Metric, Param, RunTag

        values = [Metric(clean_key(key), value, time_ms, step) for key, value, time_ms, step in metrics]
        given = [Param(key, value) for key, value in clean_params(params or {}).items()]
        labels = [RunTag(key, value) for key, value in _clean_tags(tags or {})]
        if len(labels) == 1 and not (values or given):  # a run's end: one transaction in place of five
            with store_lock(self.uri):
                self._client.set_tag(run_id, labels[0].key, labels[0].value)
            return
        batches = zip_longest(_chunks(values, _METRICS), _chunks(given, _PARAMS), _chunks(labels, _TAGS))
        for some_values, some_params, some_tags in batches:
            with store_lock(self.uri):
                self._client.log_batch(run_id, some_values or [], some_params or [], some_tags or [])

    def log_data(self, run_id: str, datasets: Iterable[Dataset]) -> None:
        """The data that the run uses; what it has already stays once."""
        with store_lock(self.uri):
            self._client.log_inputs(run_id, [_input(dataset) for dataset in datasets])

    def upload(self, run_id: str, path: Path, folder: str) -> None:
        """A copy of the file into the run's artifacts, in place of an earlier one of that name."""
        place = self._artifacts.get(run_id) or self._take_files(self._client.get_run(run_id))
        place.log_artifact(str(path), folder or None)  # type: ignore[no-untyped-call]

    def end(self, run_id: str, state: str, time_ms: int) -> None:
        """Set the status that belongs to `state`."""
        with store_lock(self.uri):
            self._client.set_terminated(run_id, STATUS[state], end_time=time_ms)
        self._artifacts.pop(run_id, None)

    def reopen(self, run_id: str) -> None:
        """Count the run as running again."""
        with store_lock(self.uri):
            self._client.update_run(run_id, status="RUNNING")
            try:
                self._client.delete_tag(run_id, "seqsweep.state")
            except store_errors() as error:  # by a driver that was killed before it could note it
                if not refused(error):
                    raise

    def tag_experiment(self, key: str, value: str) -> None:
        """Set a tag of the experiment."""
        with store_lock(self.uri):
            self._client.set_experiment_tag(self.experiment_id, key, value)

    def _take_files(self, run: Run) -> ArtifactRepository:
        """What takes a run's files; asked for them, MLflow's client would read the whole run first."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        made = get_artifact_repository(run.info.artifact_uri, tracking_uri=self.uri)
        self._artifacts[run.info.run_id] = made
        return made

    def _experiment(self, name: str, artifacts: Path) -> str:
        with store_lock(self.uri):
            found = self._client.get_experiment_by_name(name) or self._create_experiment(name, artifacts)
        if found.lifecycle_stage != "active":
            raise deleted(name, self.uri, found.experiment_id)
        return str(found.experiment_id)

    def _create_experiment(self, name: str, artifacts: Path) -> Experiment:
        """Made with our place for artifacts; a server has its own."""
        from mlflow.exceptions import MlflowException

        place = None if is_server(self.uri) else (artifacts / _folder_name(name)).absolute().as_uri()
        try:
            self._client.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another driver was faster
                raise
        return cast("Experiment", self._client.get_experiment_by_name(name))


def _input(data: Dataset) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    described = {key: json.dumps(getattr(data, key)) for key in ("source", "schema", "profile")}
    entity = Dataset(name=data.name, digest=data.digest, source_type=data.source_type, **described)
    return DatasetInput(entity, [InputTag("mlflow.data.context", data.context)])


def store_errors() -> tuple[type[Exception], ...]:
    """What a store that is away, locked or full raises."""
    with _importing:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, OSError)


def refused(error: Exception) -> bool:
    """Whether the store answered, and will not take this even later (the Run was deleted, for one)."""
    final = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"}
    return getattr(error, "error_code", "") in final


# ---------------------------------------------------------------- what MLflow accepts


def clean_key(key: str) -> str:
    """`key` with what MLflow refuses in names replaced, and not longer than it allows.

    A key that is cut ends in a digest of the whole, so that two stay two.
    """
    plain = re.sub(r"[^\w\-. :/]", "_", key)
    parts = [part for part in plain.split("/") if part not in {"", ".", ".."}]
    name = "/".join(parts) or "_"
    if len(name) <= _KEY_LENGTH:
        return name
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"{name[: _KEY_LENGTH - 9]}-{digest}"


def clean_params(params: Mapping[str, str]) -> dict[str, str]:
    """`params` as MLflow takes them."""
    return {clean_key(key): _cut(value, _PARAM_LENGTH) for key, value in params.items()}


def _clean_tags(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in tags.items():
        yield clean_key(key), _cut(value, _TAG_LENGTH)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - len(_CUT)] + _CUT


def _folder_name(experiment: str) -> str:
    return re.sub(r"[^\w\-.]", "_", experiment).strip(".") or "_"


def _chunks(items: list[Any], most: int) -> Iterator[list[Any]]:
    """Up to so many at a time, of up to so many characters in all."""
    chunk: list[Any] = []
    room = _CHARACTERS
    for item in items:
        length = len(item.key) + len(str(item.value))
        if chunk and (len(chunk) == most or length > room):
            yield chunk
            chunk, room = [], _CHARACTERS
        chunk.append(item)
        room -= length
    if chunk:
        yield chunk


def check_registry(uri: str) -> None:
    """Whether models can be registered in the store. Raises StoreError if it has no registry."""
    try:
        with server_manners(uri):
            connect(uri).search_registered_models(max_results=1)
    except store_errors() as error:
        reason = first_line(error)
        raise StoreError(
            f"tracking store {uri} has no model registry ({reason}): leave out tracking.register, or set "
            "tracking.uri to a store that has one"
        ) from error
