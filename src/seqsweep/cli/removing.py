"""What there is of a study in the stores and on the disk, and its removal, which may be done again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import checks, paths
from seqsweep.errors import StoreError, StudyError, first_line
from seqsweep.reporting import finding
from seqsweep.tracking.stores import check_server, embedded_file, is_server, store_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from optuna import Study

_NAME = r"[\w][\w.-]*"
"""What a study of ours may be called: its name is its folder's."""


@dataclass(frozen=True)
class Remains:
    """What there is of a study."""

    name: str
    storage: str
    tracking: str
    studies: tuple[str, ...]
    """Its names in the Optuna store: two where it was just being extended."""
    trials: int
    runs: tuple[str, ...]
    """Ids of its Runs in MLflow, the study's own last."""
    views: tuple[tuple[str, str], ...]
    """(experiment, tag) of the views on its table."""
    registered: tuple[str, ...]
    """Versions of registered models that were made from its Runs."""
    folders: tuple[Path, ...]
    unsure: str = ""
    """Why Runs that may be its own are left alone."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.studies or self.runs or self.folders)

    def lines(self) -> Iterator[str]:
        """What there is, a line a place; what is missing is said too."""
        optuna = f"{self.trials} trials in {self.storage}" if self.studies else f"nothing in {self.storage}"
        yield f"  Optuna  {optuna}"
        runs = f"{len(self.runs)} Runs in {self.tracking}" if self.runs else f"nothing in {self.tracking}"
        yield f"  MLflow  {runs}{self.unsure}"
        for folder in self.folders:
            yield f"  folder  {folder} ({_size(folder)})"
        if not self.folders:
            yield f"  folder  none in {paths.study_folder('x').parent}"
        for version in self.registered:
            yield f"  note    registered model {version} was made from it, and stays"


def find(name: str, storage: str, tracking: str) -> Remains:
    """What there is of the study `name`.

    Raises:
        StudyError: there is nothing; the message names the nearest one that is there.
        StoreError: a store does not answer or cannot be read.

    """
    check_server(tracking)
    names = _study_names(storage)
    studies = tuple(known for known in names if known in (name, f"{name}~"))
    study = _load(name, storage) if name in studies else None
    client = _client(tracking)
    folders = tuple(_folders(name, study, storage, known=bool(studies)))
    runs, unsure = _runs(client, tracking, name, study, folders) if client else ([], "")
    remains = Remains(
        name,
        storage,
        tracking,
        studies,
        len(study.get_trials(deepcopy=False)) if study else 0,
        tuple(run.info.run_id for run in sorted(runs, key=_is_parent)),
        tuple(_views(runs)),
        tuple(_registered(client, {run.info.run_id for run in runs})) if client and runs else (),
        folders,
        unsure,
    )
    if not remains:
        raise _unknown(name, [*names, *_recorded(client, tracking), *_on_disk()], remains)
    return remains


@contextmanager
def alone(remains: Remains) -> Iterator[None]:
    """Within the body no driver runs the study. Raises StudyError if one does."""
    from seqsweep.reporting.studies import driver_of
    from seqsweep.sweeping import DriverLock

    with ExitStack() as stack:
        for folder in remains.folders:
            if pid := driver_of(folder):
                raise StudyError(
                    f"study '{remains.name}' is being run by process {pid}: stop it first (kill -INT {pid})"
                )
            if (folder / paths.STATE).is_dir():
                stack.enter_context(DriverLock(folder))
        yield


def remove(remains: Remains) -> None:
    """Remove all of it; cut off anywhere, the same again finishes.

    What says which Runs are its own is kept until they are gone.

    Raises:
        StoreError: a store does not take it; what was not removed yet is still there.

    """
    if remains.runs:
        _delete_runs(remains)
    for name in remains.studies:
        _delete_study(name, remains.storage)
    for folder in remains.folders:
        _delete_folder(folder)


# ---------------------------------------------------------------- Optuna


def _study_names(storage: str) -> list[str]:
    import optuna

    from seqsweep.sweeping import connect

    file = embedded_file(storage)
    if file is not None and not file.exists():
        return []
    store = connect(storage)
    try:
        return optuna.get_all_study_names(store)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        raise StoreError(f"{storage}: cannot be read as a store of studies ({error})") from error


def _load(name: str, storage: str) -> Study:
    import optuna

    from seqsweep.sweeping import connect

    return optuna.load_study(study_name=name, storage=connect(storage))


def _delete_study(name: str, storage: str) -> None:
    import optuna

    from seqsweep.sweeping import connect

    try:
        optuna.delete_study(study_name=name, storage=connect(storage))
    except KeyError:  # somebody else was faster
        return


# ---------------------------------------------------------------- MLflow


def _client(tracking: str) -> MlflowClient | None:
    """A client of the store; None where there is no store, which is not made for this."""
    from seqsweep.reporting.links import open_store

    file = embedded_file(tracking)
    return None if file is not None and not file.exists() else open_store(tracking)


def _runs(
    client: MlflowClient, tracking: str, name: str, study: Study | None, folders: tuple[Path, ...]
) -> tuple[list[Run], str]:
    """The study's Runs; and, where it cannot be known which are its own, why some are left alone.

    Its unique id, which the Optuna store or the folder knows, tells them from those of another study of
    that name. Without it the name must do, in a store of one's own.
    """
    from seqsweep.reporting.runs import search

    uid = study.user_attrs.get("seqsweep.uid") if study else None
    uid = uid or next(filter(None, (_uid_of(client, folder) for folder in folders)), None)
    if uid is not None:
        return search(client, f"tags.`seqsweep.study_uid` = '{uid}'"), ""
    if not re.fullmatch(_NAME, name):
        return [], ""
    named = search(client, f"tags.`seqsweep.study` = '{name}'")
    if named and is_server(tracking):
        return (
            [],
            f"; {len(named)} of a study of that name, but whose it is cannot be known: delete them there",
        )
    return named, ""


def _uid_of(client: MlflowClient, folder: Path) -> str | None:
    """The id of the study in the folder, from the Run that its records went to."""
    from seqsweep.tracking.draining import Place
    from seqsweep.tracking.mlflow_store import store_errors

    run_id = Place.load(folder).run_id
    if run_id is None:
        return None
    try:
        tags: dict[str, str] = client.get_run(run_id).data.tags
    except store_errors():
        return None
    return tags.get("seqsweep.study_uid")


def _is_parent(run: Run) -> bool:
    return bool(run.data.tags.get("seqsweep.kind") == "study")


def _views(runs: list[Run]) -> Iterator[tuple[str, str]]:
    from seqsweep.tracking.addresses import view_tag

    for run in runs:
        if _is_parent(run):
            yield run.info.experiment_id, view_tag(run.data.tags["seqsweep.study_uid"])


def _registered(client: MlflowClient, runs: set[str]) -> Iterator[str]:
    for version in client.search_model_versions():
        if version.run_id in runs:
            yield f"{version.name}, version {version.version},"


def _recorded(client: MlflowClient | None, tracking: str) -> list[str]:
    from seqsweep.reporting.links import recorded_studies

    return list(recorded_studies(tracking)) if client else []


def _delete_runs(remains: Remains) -> None:
    from seqsweep.reporting.links import open_store
    from seqsweep.tracking.mlflow_store import store_errors

    client = open_store(remains.tracking)
    try:
        for run_id in remains.runs:
            with store_lock(remains.tracking):
                client.delete_run(run_id)
        for experiment, tag in remains.views:
            with store_lock(remains.tracking):
                _delete_view(client, experiment, tag)
    except store_errors() as error:
        reason = first_line(error)
        raise StoreError(
            f"tracking store {remains.tracking}: {reason}; the same command goes on with the rest"
        ) from error


def _delete_view(client: Any, experiment: str, tag: str) -> None:
    if tag in client.get_experiment(experiment).tags:
        client.delete_experiment_tag(experiment, tag)


# ---------------------------------------------------------------- folders


def _folders(name: str, study: Study | None, storage: str, known: bool) -> Iterator[Path]:
    """The study's folder here, the one that the store names, and what a removal cut off has left."""
    if not re.fullmatch(_NAME, name):  # no folder of a study's, and it might lead anywhere
        return
    here = paths.study_folder(name)
    if here.is_dir() and (known or (here / paths.STATE).is_dir()):
        yield here
    if _leaving(here).is_dir():
        yield _leaving(here)
    stored = Path(str(study.user_attrs.get("seqsweep.folder", here))) if study else here
    if stored != here and stored.name == name and (stored / paths.STATE).is_dir() and _is_in(stored, storage):
        yield stored


def _is_in(folder: Path, storage: str) -> bool:
    """Whether the study in `folder` is in that store. The copy of a store names the folders of the first."""
    own, other = embedded_file(finding.storage_of(folder)), embedded_file(storage)
    if own is None or other is None:
        return own is other  # both on servers
    return not own.exists() or own.samefile(other)


def _leaving(folder: Path) -> Path:
    """What a folder is called while it is removed; no study is called so."""
    return folder.with_name(f".{folder.name}.removed")


def _delete_folder(folder: Path) -> None:
    """Out of the way first, and all at once: half a folder might be taken for a study's."""
    place = folder.resolve()
    gone = place if place.name.startswith(".") else _leaving(place)
    try:
        if gone != place:
            if gone.exists():
                shutil.rmtree(gone)
            place.rename(gone)
        shutil.rmtree(gone)
        if folder.is_symlink():
            folder.unlink()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be removed ({error.strerror or error})") from error


def _on_disk() -> list[str]:
    multirun = paths.study_folder("x").parent
    return [state.parent.name for state in multirun.glob(f"*/{paths.STATE}")]


def _size(folder: Path) -> str:
    total = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    return f"{total / 2**20:.1f} MiB"


def _unknown(name: str, known: list[str], remains: Remains) -> StudyError:
    there = sorted({one for one in known if not one.endswith("~")})
    listed = f"; studies there: {', '.join(there)}" if there else ""
    return StudyError(
        f"no study '{name}' in {remains.storage}, {remains.tracking} or "
        f"{paths.study_folder('x').parent}{remains.unsure}{checks.nearest(name, there)}{listed}"
    )
