"""One recorded run: found by what a user calls it, with its record and its files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep.checks import nearest
from seqsweep.errors import StoreError, StudyError
from seqsweep.reporting.links import open_store, recorded_studies
from seqsweep.tracking.mlflow_store import store_errors
from seqsweep.tracking.stores import check_server, embedded_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run

FORMS = "a Run's id, the beginning of one, STUDY/best or STUDY/NUMBER"
_MOST_NAMED = 4


@dataclass(frozen=True)
class StoredRun:
    """A run as the tracking store has it."""

    id: str
    name: str
    status: str
    """MLflow's: RUNNING, FINISHED, KILLED or FAILED."""
    metrics: Mapping[str, float]
    """Each one's last value."""
    tags: Mapping[str, str]
    artifacts: frozenset[str]
    """Files at the top of its artifacts."""
    client: MlflowClient

    def __str__(self) -> str:
        """Its name, and enough of its id."""
        return f"{self.name} ({self.id[:8]})"

    @property
    def state(self) -> str:
        """complete, pruned, failed, infeasible, interrupted or running."""
        return "running" if self.status == "RUNNING" else self.tags.get("seqsweep.state", self.status.lower())

    @contextmanager
    def files(self, *names: str) -> Iterator[Path]:
        """A folder with those of its files that it has: copies, which are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="seqsweep-") as place:
            try:
                for name in self.artifacts.intersection(names):
                    self.client.download_artifacts(self.id, name, place)
            except store_errors() as error:
                raise StoreError(f"run {self}: its files cannot be read: {_first_line(error)}") from error
            yield Path(place)


def find_run(uri: str, name: str) -> StoredRun:
    """The run that `name` means: a Run's id, a unique beginning of one, ``STUDY/best`` or ``STUDY/12``.

    A trial that copied another's values is that other one.

    Raises:
        StudyError: there is no such run, or there are several.
        StoreError: the store is not there or cannot be read.

    """
    _check_there(uri)
    client = open_store(uri)
    try:
        run = _of_study(client, uri, name) if "/" in name else _by_id(client, uri, name)
        return _stored(client, run)
    except store_errors() as error:
        raise StoreError(f"tracking store {uri} cannot be read: {_first_line(error)}") from error


def find_trained(uri: str, name: str) -> StoredRun:
    """As `find_run`, but it has ended and has what it needs to be used again.

    Raises:
        StudyError: it is under way, a study rather than a run, or has no checkpoint.

    """
    run = find_run(uri, name)
    if run.tags.get("seqsweep.kind") == "study":
        raise StudyError(
            f"run {run} is a study, not a run: {run.name}/best or {run.name}/NUMBER is one of its"
        )
    if run.state == "running":
        raise StudyError(f"run {run} is under way, or was cut off: its checkpoint is stored at its end")
    for file in ("config.yaml", "best.ckpt"):
        if file not in run.artifacts:
            raise StudyError(
                f"run {run} has no {file}: it is {run.state}, and has nothing stored to use again"
            )
    return run


def _check_there(uri: str) -> None:
    check_server(uri)
    file = embedded_file(uri)
    if file is not None and not file.exists():
        raise StoreError(
            f"no tracking store at {file}: `seqsweep train` makes one; one elsewhere is named by "
            "SEQSWEEP_HOME or MLFLOW_TRACKING_URI"
        )


def _stored(client: MlflowClient, run: Run) -> StoredRun:
    return StoredRun(
        run.info.run_id,
        run.info.run_name or run.info.run_id,
        run.info.status,
        dict(run.data.metrics),
        dict(run.data.tags),
        frozenset(file.path for file in client.list_artifacts(run.info.run_id)),
        client,
    )


def _by_id(client: MlflowClient, uri: str, name: str) -> Run:
    found = _search(client, f"attributes.run_id LIKE '{name}%'") if re.fullmatch("[0-9a-f]+", name) else []
    exact = [run for run in found if run.info.run_id == name]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        which = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in found[:_MOST_NAMED])
        more = ", ..." if len(found) > _MOST_NAMED else ""
        raise StudyError(f"run '{name}': {len(found)} ids begin so, give more of it: {which}{more}")
    raise StudyError(f"no run '{name}' in {uri}: expected {FORMS}{_studies(uri)}")


def _of_study(client: MlflowClient, uri: str, name: str) -> Run:
    study, _, which = name.rpartition("/")
    parents = recorded_studies(uri)
    if study not in parents:
        raise StudyError(f"run '{name}': no study '{study}' in {uri}{nearest(study, parents)}{_studies(uri)}")
    parent = parents[study]
    number = parent.data.tags.get("seqsweep.best_trial") if which == "best" else which
    if number is None:
        raise StudyError(f"run '{name}': no trial of study '{study}' is complete yet")
    if not number.isdecimal():
        raise StudyError(f"run '{name}': expected {study}/best or {study}/NUMBER, a trial's")
    return _trial(client, parent, name, int(number))


def _trial(client: MlflowClient, parent: Run, name: str, number: int) -> Run:
    of_parent = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    found = _search(client, f"{of_parent} and tags.`seqsweep.trial` = '{number}'")
    if not found:
        known = [int(run.data.tags["seqsweep.trial"]) for run in _search(client, of_parent)]
        there = f"its trials are 0 to {max(known)}" if known else "it has none"
        raise StudyError(f"run '{name}': the study has no trial {number}; {there}")
    original = found[0].data.tags.get("seqsweep.copy_of")
    return found[0] if original is None else _trial(client, parent, name, int(original))


def _search(client: MlflowClient, condition: str) -> list[Run]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(experiments, condition, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _studies(uri: str) -> str:
    known = ", ".join(recorded_studies(uri))
    return f"; studies there: {known}" if known else ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
