"""Publishing: a run's model logged in the tracking store, once, and registered under a name."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep.errors import DataError, RecordError, first_line
from seqsweep.serving.description import FILES
from seqsweep.serving.packing import pack
from seqsweep.serving.peace import at_peace
from seqsweep.tracking.mlflow_store import connect, store_errors
from seqsweep.tracking.stores import server_manners, store_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

    from seqsweep.serving.description import Description

NAME = "model"
"""What a run's model is called: ``runs:/RUN/model`` is its address."""
DIGEST = "seqsweep.digest"
"""The tag that says which files a model was made from."""
VERSIONS = "mlflow.modelVersions"
"""MLflow's own, by which its pages lead from a model to what it is registered as."""


@dataclass(frozen=True)
class Published:
    """A model in the store."""

    run_id: str
    name: str | None = None
    """What it is registered as."""
    version: str | None = None
    alias: str | None = None

    @property
    def uri(self) -> str:
        """What MLflow loads and serves it by."""
        return f"runs:/{self.run_id}/{NAME}" if self.name is None else f"models:/{self.name}@{self.alias}"

    def __str__(self) -> str:
        """The same, and which version it is."""
        return self.uri if self.version is None else f"{self.uri} (version {self.version})"


def publish(
    uri: str,
    run_id: str,
    directory: Path,
    describe: Callable[[], Description],
    *,
    register: str | None = None,
    alias: str = "best",
) -> Published:
    """Log the model of the run whose files are in `directory`, unless that is done.

    Args:
        uri: the tracking store.
        run_id: the Run that the model belongs to.
        directory: holds the run's files.
        describe: makes what `seqsweep.serving.describing.describe` does, if it has to be known.
        register: the registered model to make it a version of; None for none. A Run's model
            is a version once.
        alias: what leads to that version from then on.

    Raises:
        DataError: a file is missing.
        RecordError: the store does not take it.

    """
    for name in FILES:
        if not (directory / name).is_file():
            raise DataError(f"{directory / name}: there is no such file; the run has no model without it")
    try:
        with server_manners(uri):
            client = connect(uri)
            model = _logged(client, uri, run_id, directory, describe)
            if register is None:
                return Published(run_id)
            with store_lock(uri):
                version = _registered(client, model, register)
                _alias(client, register, alias, version)
        return Published(run_id, register, version, alias)
    except store_errors() as error:
        raise RecordError(f"the model of run {run_id} is not in {uri}: {first_line(error)}") from error


def _logged(
    client: MlflowClient, uri: str, run_id: str, directory: Path, describe: Callable[[], Description]
) -> LoggedModel:
    """The model made from the run's files as they are, logged unless it is there."""
    run, digest = client.get_run(run_id), _digest(directory)
    for known in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'"):
        if known.tags.get(DIGEST) == digest:
            if known.status == "READY":
                _lead(client, run, known)
                return known
            with store_lock(uri):  # left by one that was killed half-way
                client.delete_logged_model(known.model_id)
    described = describe()
    with store_lock(uri):
        model = client.create_logged_model(
            run.info.experiment_id, NAME, run_id, tags={DIGEST: digest}, model_type="seqsweep"
        )
    try:
        _upload(client, model, directory, described)
    except BaseException:
        with store_lock(uri):
            client.delete_logged_model(model.model_id)
        raise
    with store_lock(uri):
        _connect(client, run, model)
    return client.get_logged_model(model.model_id)


def _upload(client: MlflowClient, model: LoggedModel, directory: Path, described: Description) -> None:
    """Pack the run's files and hand them over."""
    with tempfile.TemporaryDirectory(prefix="seqsweep-") as folder, at_peace():
        from mlflow.models import Model

        about = Model(
            artifact_path=model.artifact_location,
            run_id=model.source_run_id,
            model_uuid=model.model_id,
            model_id=model.model_id,
        )
        place = Path(folder) / NAME
        pack(directory, place, about, described)
        client.log_model_artifacts(model.model_id, str(place))


def _connect(client: MlflowClient, run: Run, model: LoggedModel) -> None:
    """Let the run lead to its model, and the model tell the run's best values and the tested ones."""
    from mlflow.entities import Metric

    names = [name for name in run.data.metrics if name.startswith(("best/", "test/"))]
    last = [client.get_metric_history(run.info.run_id, name)[-1] for name in names]
    metrics = [
        Metric(one.key, one.value, one.timestamp, one.step, model_id=model.model_id, run_id=run.info.run_id)
        for one in last
    ]
    if metrics:
        client.log_batch(run.info.run_id, metrics)
    client.finalize_logged_model(model.model_id, "READY")
    _lead(client, run, model, max((one.step for one in last), default=0))


def _lead(client: MlflowClient, run: Run, model: LoggedModel, step: int = 0) -> None:
    """Let the run lead to its model, unless it does."""
    from mlflow.entities import LoggedModelOutput

    known = run.outputs.model_outputs if run.outputs else []
    if all(output.model_id != model.model_id for output in known):
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step)])


def _registered(client: MlflowClient, model: LoggedModel, name: str) -> str:
    """The version of the registered model that the model is, made unless it is one."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for known in client.search_model_versions(f"name = '{name}'"):
        if known.source == model.artifact_location:  # a database does not tell the model's id
            return str(known.version)
    made = client.create_model_version(
        name, model.artifact_location, model.source_run_id, model_id=model.model_id
    )
    versions = [*json.loads(model.tags.get(VERSIONS, "[]")), {"name": name, "version": made.version}]
    client.set_logged_model_tags(model.model_id, {VERSIONS: json.dumps(versions)})
    return str(made.version)


def _alias(client: MlflowClient, name: str, alias: str, version: str) -> None:
    """Let the alias lead to that version."""
    known = client.get_registered_model(name).aliases
    if str(known.get(alias)) != version:
        client.set_registered_model_alias(name, alias, version)


def _digest(directory: Path) -> str:
    """Of the files that make up the model."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(hashlib.sha256((directory / name).read_bytes()).digest())
    return digest.hexdigest()
