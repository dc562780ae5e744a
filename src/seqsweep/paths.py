"""Where things are: the shipped configuration, the stores, the data, the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATE = ".seqsweep"
"""Our own folder inside a study's or a run's folder: locks, spool, frozen configuration."""


def shipped(name: str) -> Path:
    """The folder `name` (``conf`` or ``sweeps``) that belongs to this program.

    An installed package carries its own copy; a checkout installed in editable
    mode uses the repository's.
    """
    package = Path(__file__).resolve().parent
    installed = package / name
    return installed if installed.is_dir() else package.parents[1] / name


def sweeps() -> list[Path]:
    """Where studies are looked for by name: in ``sweeps/`` here, if it is there, then in the shipped one."""
    own, ours = Path("sweeps").absolute(), shipped("sweeps")
    return [own, ours] if own.is_dir() and not own.samefile(ours) else [ours]


def home() -> Path:
    """The folder that holds the stores: ``SEQSWEEP_HOME``, else the working directory."""
    return Path(os.environ.get("SEQSWEEP_HOME") or ".").expanduser().absolute()


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in `home`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


@contextmanager
def tracking_at(uri: str | None) -> Iterator[None]:
    """Let `tracking_uri` be that one within the body; as it is if None."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if uri is not None:
            os.environ.pop("MLFLOW_TRACKING_URI")
            os.environ.update({} if before is None else {"MLFLOW_TRACKING_URI": before})


def artifacts() -> Path:
    """Where artifacts of an embedded tracking store are kept."""
    return home() / "mlartifacts"


def study_storage() -> str:
    """The Optuna URL of ``optuna.db`` in `home`."""
    return f"sqlite:///{home() / 'optuna.db'}"


def study_folder(name: str) -> Path:
    """The folder of the study `name`; its trials are the numbered folders inside."""
    return home() / "multirun" / name


def cache() -> Path:
    """This user's cache folder for prepared and downloaded data (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser().absolute() / "seqsweep"


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Where named data sets are looked for.

    `root` if given, else ``SEQSWEEP_DATA``, else ``data/`` here, else the cache.
    """
    if root is not None:
        return Path(root).expanduser().absolute()
    if configured := os.environ.get("SEQSWEEP_DATA"):
        return Path(configured).expanduser().absolute()
    here = home() / "data"
    return here if here.is_dir() else cache() / "data"
