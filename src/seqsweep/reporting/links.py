"""Where in MLflow's UI a study is to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqsweep.checks import nearest
from seqsweep.errors import StoreError, StudyError, UsageError
from seqsweep.reporting.finding import open_study
from seqsweep.tracking import addresses
from seqsweep.tracking.databases import deleted
from seqsweep.tracking.mlflow_store import connect, store_errors
from seqsweep.tracking.stores import check_content, check_kind, server_manners

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class StudyPages:
    """A study's pages; a page that needs more runs than there are is None."""

    study: str
    table: str
    comparison: str | None = None
    curves: str | None = None
    best: str | None = None
    compared: int = 0
    metric: str = ""


def recorded_studies(uri: str) -> dict[str, Any]:
    """The parent Runs in a tracking store by study, the newest of each name, newest first.

    Raises:
        StoreError: the store cannot be read.
    """
    return dict(_parents(open_store(uri)))


def study_pages(uri: str, base: str, study: str, most: int = 5) -> StudyPages:
    """Pages of `study` on the server at `base`: its table, its best runs compared, the best one.

    Raises:
        StudyError: there is no such study; says which there are.
        StoreError: the store cannot be read.
    """
    client = open_store(uri)
    parents = _parents(client)
    if study not in parents:
        check_deleted(client, uri, study)
        known = ", ".join(parents) or "none yet"
        hint = nearest(study, parents) or ";"
        raise StudyError(f"no study '{study}' in {uri}{hint} studies there: {known}")
    parent = parents[study]
    experiment = parent.info.experiment_id
    best = [run.info.run_id for run in _best(client, parent, most)]
    metric = parent.data.tags.get("seqsweep.metric", "").removeprefix("best/")
    several = len(best) > 1
    return StudyPages(
        study,
        table=addresses.study_table(base, experiment, parent.data.tags["seqsweep.study_uid"]),
        comparison=addresses.comparison(base, experiment, best) if several else None,
        curves=addresses.curves(base, experiment, best, metric) if several and metric else None,
        best=addresses.run_page(base, experiment, best[0]) if best else None,
        compared=len(best),
        metric=metric,
    )


def recorded_at(study: str) -> str | None:
    """The tracking store that the study here is recorded in, if its configuration named one."""
    try:
        uri: str | None = open_study(study).user_attrs.get("seqsweep.tracking")
    except UsageError:  # there is no such study here: the tracking store may have it all the same
        return None
    return uri


def check_deleted(client: MlflowClient, uri: str, study: str) -> None:
    """Raise StoreError if the study is in an experiment that was deleted."""
    from mlflow.entities import ViewType

    try:
        for gone in client.search_experiments(view_type=ViewType.DELETED_ONLY):
            runs = client.search_runs([gone.experiment_id], "tags.`seqsweep.kind` = 'study'", ViewType.ALL)
            if any(run.data.tags.get("seqsweep.study") == study for run in runs):
                raise deleted(gone.name, uri, gone.experiment_id)
    except store_errors() as error:
        raise StoreError(f"tracking store {uri} cannot be read: {error}") from error


def keep_with_study(uri: str, uid: str, file: Path) -> None:
    """Log `file` as an artifact of the study's parent Run, if there is one; `uid` is the study's.

    Raises what the store raises.
    """
    with server_manners(uri):
        client = open_store(uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        condition = f"tags.`seqsweep.study_uid` = '{uid}' and tags.`seqsweep.kind` = 'study'"
        for run in client.search_runs(experiments, condition, max_results=1):
            client.log_artifact(run.info.run_id, str(file))


def open_store(uri: str) -> MlflowClient:
    """A client of the tracking store. Raises StoreError if it cannot be opened."""
    check_kind(uri)
    check_content(uri)
    try:
        return connect(uri)
    except store_errors() as error:
        raise StoreError(f"tracking store {uri} cannot be opened: {error}") from error


def _parents(client: MlflowClient) -> dict[str, Run]:
    try:
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(
            experiments, "tags.`seqsweep.kind` = 'study'", order_by=["attributes.start_time DESC"]
        )
    except store_errors() as error:
        raise StoreError(f"tracking store {client.tracking_uri} cannot be read: {error}") from error
    newest: dict[str, Run] = {}
    for run in runs:
        newest.setdefault(run.data.tags["seqsweep.study"], run)
    return newest


def _best(client: MlflowClient, parent: Run, most: int) -> list[Run]:
    """The complete runs with the best values, best first; the newest where no metric is known."""
    metric = parent.data.tags.get("seqsweep.metric")
    way = "ASC" if parent.data.tags.get("seqsweep.direction") == "minimize" else "DESC"
    order = f"metrics.`{metric}` {way}" if metric else "attributes.start_time DESC"
    complete = f"tags.mlflow.parentRunId = '{parent.info.run_id}' and tags.`seqsweep.state` = 'complete'"
    return list(client.search_runs([parent.info.experiment_id], complete, max_results=most, order_by=[order]))
