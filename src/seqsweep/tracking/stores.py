"""Which tracking store an address means, and whether it can be used. Imports no mlflow."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from seqsweep.errors import StoreError
from seqsweep.tracking.databases import check_database
from seqsweep.tracking.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SQLITE_HEADER = b"SQLite format 3\x00"


def is_server(uri: str) -> bool:
    """Whether `uri` is a tracking server's address."""
    return urlsplit(uri).scheme in _SERVERS


def embedded_file(uri: str) -> Path | None:
    """The file of a SQLite store, else None."""
    prefix = "sqlite:///"
    return Path(unquote(uri.removeprefix(prefix))).absolute() if uri.startswith(prefix) else None


def store_lock(uri: str) -> AbstractContextManager[None]:
    """Held while a SQLite store is created or written to; other stores look after themselves."""
    file = embedded_file(uri)
    if file is None:
        return nullcontext()
    file.parent.mkdir(parents=True, exist_ok=True)
    return locked(file.with_name(file.name + ".lock"))


def check_store(uri: str, artifacts: Path, experiment: str | None = None) -> None:
    """Whether runs of `experiment` can be recorded there; writes nothing.

    Of a server no more is asked than its address; see `check_server`.

    Raises:
        StoreError: a kind of store that MLflow no longer has, a leftover file store,
            a folder that cannot be written to, a file that is no database, or what
            `databases.check_database` refuses.
    """
    check_kind(uri)
    if file := embedded_file(uri):
        _check_file(file)
        _check_leftover(file.parent)
    if not is_server(uri):
        check_content(uri, experiment)
        check_folder(artifacts)


def check_kind(uri: str) -> None:
    """Whether it is the address of a kind of store that MLflow has. Raises StoreError if it is not."""
    if urlsplit(uri).scheme.split("+")[0] not in _SERVERS + _DATABASES:
        raise StoreError(
            f"tracking store {uri}: expected sqlite:///FILE, another database's address or http(s)://HOST; "
            "MLflow's file stores are no more"
        )


def check_content(uri: str, experiment: str | None = None) -> None:
    """Whether a database holds a tracking store that can be used; nothing to check for a server or no file.

    Raises:
        StoreError: what `databases.check_database` refuses.
    """
    file = embedded_file(uri)
    if not is_server(uri) and (file is None or (file.exists() and file.stat().st_size)):
        check_database(uri, file, experiment)


def check_server(uri: str, experiment: str | None = None) -> None:
    """Whether a tracking server answers us, as MLflow's does; nothing to check for other stores.

    Raises:
        StoreError: it does not, or `experiment` was deleted from it.
    """
    if not is_server(uri):
        return
    _check_answers(uri)
    from seqsweep.tracking.mlflow_store import ask_server

    with server_manners(uri):
        ask_server(uri, experiment)


def _check_answers(uri: str) -> None:
    if "@" in urlsplit(uri).netloc:
        raise StoreError(
            f"tracking server {uri}: expected an address without user and password; MLflow takes those from "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=5):  # noqa: S310 - an http address, checked above
            return
    except HTTPError:
        return  # it answers, if only with a refusal
    except OSError as error:
        raise StoreError(
            f"tracking server {uri} does not answer ({error}): start it, or unset MLFLOW_TRACKING_URI "
            "and tracking.uri for a store here"
        ) from None


def check_folder(folder: Path) -> None:
    """Whether files can be made in `folder`, which need not exist yet.

    Raises:
        StoreError: they cannot.
    """
    existing = next(place for place in [folder.absolute(), *folder.absolute().parents] if place.exists())
    if not existing.is_dir():
        raise StoreError(f"{folder}: {existing} is a file, not a folder; move it or choose another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(
            f"{folder}: {existing} cannot be written to; change its permissions or set SEQSWEEP_HOME "
            "to a folder of yours"
        )


def leftover_file_store(folder: Path) -> Path | None:
    """``mlruns`` in `folder` if it holds experiments of MLflow's old file store, else None."""
    place = folder / "mlruns"
    return place if any(place.glob("*/meta.yaml")) else None


def _check_file(file: Path) -> None:
    check_folder(file.parent)
    if not file.exists():
        return
    if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
        raise StoreError(f"{file}: expected a file that can be read and written; it is the tracking store")
    with file.open("rb") as content:
        header = content.read(len(_SQLITE_HEADER))
    if header and header != _SQLITE_HEADER:
        raise StoreError(
            f"{file}: not a SQLite database; move it away or set MLFLOW_TRACKING_URI to another store"
        )


def _check_leftover(folder: Path) -> None:
    if place := leftover_file_store(folder):
        raise StoreError(
            f"{place} holds experiments of MLflow's old file store, which a bare `mlflow ui` here would "
            f"take for the store and refuse; move it (mv {place} {place}.old) or bring it over "
            "(mlflow migrate-filestore --help), then try again"
        )


@contextmanager
def server_manners(uri: str) -> Iterator[None]:
    """Let a server that is away be noticed soon, unless the user has set it otherwise.

    MLflow's client would try again for minutes by itself, and a create sent twice is
    two runs; the recorder tries again on its own, after looking at what is there.
    """
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
    missing = {key: value for key, value in wanted.items() if key not in os.environ} if is_server(uri) else {}
    os.environ.update(missing)
    try:
        yield
    finally:
        for key in missing:
            os.environ.pop(key, None)
