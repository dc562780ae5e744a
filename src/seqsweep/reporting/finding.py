"""A study found by its name, wherever the program knows a store of studies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.checks import nearest
from seqsweep.errors import StoreError, StudyError, first_line

if TYPE_CHECKING:
    import optuna

_SQLITE = "sqlite:///"
_NOTE = "storage"


def remember(folder: Path, storage: str) -> None:
    """Note in a study's folder which store the study is in, if that is not the usual one."""
    note = folder / paths.STATE / _NOTE
    if storage == paths.study_storage():
        note.unlink(missing_ok=True)
        return
    file = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # the URL may hold a password
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(_absolute(storage))


def open_study(name: str, storage: str | None = None) -> optuna.Study:
    """The study `name` in the store at `storage`, else where its folder says, else in the one here.

    Raises:
        StudyError: there is no such study; says which there are.
        StoreError: the store is not there or cannot be read.

    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = storage or noted(name) or paths.study_storage()
    file = Path(url.removeprefix(_SQLITE))
    if url.startswith(_SQLITE) and not file.exists():  # Optuna would make one
        raise StoreError(
            f"no store of studies at {file}: `seqsweep sweep digits` makes one; one elsewhere is named by "
            "SEQSWEEP_HOME or --storage"
        )
    try:
        known = optuna.get_all_study_names(url)
        if name in known:
            return optuna.load_study(study_name=name, storage=url)
    except Exception as error:  # SQLAlchemy's and its drivers' errors have no common base
        raise StoreError(f"{url}: cannot be read as a store of studies ({first_line(error)})") from error
    there = ", ".join(known[-10:]) or "none yet"
    raise StudyError(f"no study '{name}' in {url}{nearest(name, known) or ';'} studies there: {there}")


def noted(name: str) -> str | None:
    """What the folder of that name says; a name that could not be a folder's has none."""
    return None if Path(name).name != name else _noted_in(paths.study_folder(name))


def storage_of(folder: Path) -> str:
    """The store that the study in `folder` is in: where its note says, else in the usual place beside it."""
    return _noted_in(folder) or f"{_SQLITE}{folder.parents[1] / Path(paths.study_storage()).name}"


def _noted_in(folder: Path) -> str | None:
    try:
        return (folder / paths.STATE / _NOTE).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None


def _absolute(url: str) -> str:
    """A file's URL, independent of the working directory."""
    name = url.removeprefix(_SQLITE)
    return f"{_SQLITE}{Path(name).absolute()}" if url.startswith(_SQLITE) else url
