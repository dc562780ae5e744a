"""One recorded run: found by what a user calls it, with its record and its files."""

from __future__ import annotations

import math
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.checks import nearest
from seqsweep.errors import StoreError, StudyError, first_line
from seqsweep.reporting.links import check_deleted, open_store, recorded_at, recorded_studies
from seqsweep.tracking.mlflow_store import store_errors
from seqsweep.tracking.stores import check_server, embedded_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    params: Mapping[str, str]
    tags: Mapping[str, str]
    artifacts: frozenset[str]
    """Files at the top of its artifacts."""
    place: str
    """Where its artifacts are."""
    digests: Mapping[str, str]
    """Of the data it used, by what for: train, val or test."""
    client: MlflowClient

    def __str__(self) -> str:
        """Its name, and enough of its id."""
        return f"{self.name} ({self.id[:8]})"

    @property
    def state(self) -> str:
        """complete, pruned, failed, infeasible, interrupted or running."""
        return "running" if self.status == "RUNNING" else self.tags.get("seqsweep.state", self.status.lower())

    @property
    def threads(self) -> int:
        """Of the processor, that it was trained with."""
        text = self.tags.get("seqsweep.threads", "")
        return int(text) if text.isdecimal() and int(text) else 1

    def histories(self) -> dict[str, dict[int, float]]:
        """Each metric's values by step, as they were logged first.

        Raises:
            StoreError: the store cannot be read.

        """
        try:
            return {name: self.history(name) for name in self.metrics}
        except store_errors() as error:
            raise StoreError(f"run {self}: its metrics cannot be read: {first_line(error)}") from error

    def history(self, metric: str) -> dict[int, float]:
        """One metric's values by step; none if it was not logged."""
        found: dict[int, float] = {}
        for point in self.client.get_metric_history(self.id, metric):
            found.setdefault(point.step, _finite_or_not(point.value))
        return dict(sorted(found.items()))

    def study_tags(self) -> Mapping[str, str]:
        """The tags of its study's Run; none if it belongs to no study, or that Run is no more."""
        parent = self.tags.get("mlflow.parentRunId")
        if parent is None:
            return {}
        try:
            return dict(self.client.get_run(parent).data.tags)
        except store_errors():
            return {}

    @contextmanager
    def files(self, *names: str) -> Iterator[Path]:
        """A folder with those of its files that it has: copies, which are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="seqsweep-") as place:
            try:
                for name in self.artifacts.intersection(names):
                    self.client.download_artifacts(self.id, name, place)
            except store_errors() as error:
                raise StoreError(f"run {self}: its files cannot be read: {first_line(error)}") from error
            yield Path(place)


def store_of(name: str, uri: str | None = None) -> str:
    """The tracking store to look for `name` in: `uri`, else where its study was recorded, else the usual."""
    study = name.rpartition("/")[0]
    return uri or (recorded_at(study) if study else None) or paths.tracking_uri()


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
        raise StoreError(f"tracking store {uri} cannot be read: {first_line(error)}") from error


USABLE = ("config.yaml", "best.ckpt")
"""Files without which a run cannot be used again."""


def find_trained(uri: str, name: str, needs: Sequence[str] = USABLE) -> StoredRun:
    """As `find_run`, but it has ended and can be used again. Raises as `check_trained` too."""
    run = find_run(uri, name)
    check_trained(run, needs)
    return run


def check_trained(run: StoredRun, needs: Sequence[str] = USABLE) -> None:
    """Raise StudyError if it is under way, a study rather than a run, not ours, or lacks one of the files."""
    kind = run.tags.get("seqsweep.kind")
    if kind == "study":
        raise StudyError(
            f"run {run} is a study, not a run: {run.name}/best or {run.name}/NUMBER is one of its"
        )
    if kind is None:
        raise StudyError(f"run {run} is not one of seqsweep's: something else recorded it in the same store")
    if run.state == "running":
        raise StudyError(f"run {run} is under way, or was cut off: its checkpoint is stored at its end")
    for file in needs:
        if file not in run.artifacts:
            raise StudyError(f"run {run} has no {file}: {_why_nothing(run)}")


def _why_nothing(run: StoredRun) -> str:
    if run.state == "complete" and "seqsweep.threads" in run.tags:  # our own training left some
        return f"its artifacts are gone from {run.place}"
    return f"it is {run.state}, and has nothing stored to use again"


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
        {name: _finite_or_not(value) for name, value in run.data.metrics.items()},
        dict(run.data.params),
        dict(run.data.tags),
        frozenset(file.path for file in client.list_artifacts(run.info.run_id)),
        str(run.info.artifact_uri),
        _digests(run),
        client,
    )


def _digests(run: Run) -> dict[str, str]:
    used = run.inputs.dataset_inputs if run.inputs else []
    contexts = [
        next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "") for each in used
    ]
    return {context: each.dataset.digest for context, each in zip(contexts, used, strict=True) if context}


def _by_id(client: MlflowClient, uri: str, name: str) -> Run:
    found = search(client, f"attributes.run_id LIKE '{name}%'") if re.fullmatch("[0-9a-f]+", name) else []
    exact = [run for run in found if run.info.run_id == name]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        which = ", ".join(f"{run.info.run_id[:12]} ({run.info.run_name})" for run in found[:_MOST_NAMED])
        more = ", ..." if len(found) > _MOST_NAMED else ""
        raise StudyError(f"run '{name}': {len(found)} ids begin so, give more of it: {which}{more}")
    _check_deleted(client, name)
    if name in recorded_studies(uri):
        raise StudyError(f"run '{name}' is a study, not a run: {name}/best or {name}/NUMBER is one of its")
    raise StudyError(f"no run '{name}' in {uri}: expected {FORMS}{_studies(uri)}")


def _check_deleted(client: MlflowClient, name: str) -> None:
    """Raise StudyError if that run was deleted, which MLflow can undo."""
    if not re.fullmatch("[0-9a-f]{32}", name):
        return
    try:
        client.get_run(name)
    except store_errors():
        return
    raise StudyError(
        f"run '{name}' was deleted, or its experiment was; `mlflow runs restore --run-id {name}` brings a "
        "run back"
    )


def _of_study(client: MlflowClient, uri: str, name: str) -> Run:
    study, _, which = name.rpartition("/")
    parents = recorded_studies(uri)
    if study not in parents:
        check_deleted(client, uri, study)
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
    found = search(client, f"{of_parent} and tags.`seqsweep.trial` = '{number}'")
    if not found:
        known = [int(run.data.tags["seqsweep.trial"]) for run in search(client, of_parent)]
        there = f"its trials are 0 to {max(known)}" if known else "it has none"
        raise StudyError(f"run '{name}': the study has no trial {number}; {there}")
    original = found[0].data.tags.get("seqsweep.copy_of")
    return found[0] if original is None else _trial(client, parent, name, int(original))


def _finite_or_not(value: float) -> float:
    """Databases have no infinity: MLflow keeps the largest number in its place."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def search(client: MlflowClient, condition: str) -> list[Run]:
    """All Runs of the store that are so, whichever experiment they are in; deleted ones are not."""
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
