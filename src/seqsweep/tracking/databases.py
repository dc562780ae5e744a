"""Whether a database is a tracking store that this MLflow can use. Imports no mlflow, writes nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seqsweep.errors import StoreError, first_line

_SECONDS = 10
_SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = {}()"
_HERE = {"postgresql": "current_schema", "mysql": "database", "mssql": "schema_name"}
"""What names the schema that a connection is in, for each kind of server."""

Ask = Callable[[str], list[Any]]
"""Rows of a query."""


def check_database(uri: str, file: Path | None, experiment: str | None) -> None:
    """Whether runs of `experiment` can be recorded in the database at `uri`, of SQLite in `file`.

    Raises:
        StoreError: it is damaged, not MLflow's, of another schema, cannot be reached, or the
            experiment was deleted.
    """
    try:
        with _sqlite(file) if file else _server(uri) as ask:
            tables = {name for (name,) in ask(_SQLITE_TABLES if file else _tables(uri))}
            if tables >= {"experiments", "alembic_version"}:
                _check_schema(uri, ask)
                _check_experiment(uri, ask, experiment)
            elif file and tables:
                raise StoreError(
                    f"{file}: a SQLite database, but not a tracking store of MLflow's; give another one with "
                    "MLFLOW_TRACKING_URI or tracking.uri"
                )
    except sqlite3.OperationalError:
        return  # busy, or its last writer was killed: what MLflow itself makes good
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{file}: damaged ({error}); put a copy of it back, or move it away for a new store"
        ) from error


def deleted(name: str, uri: str, experiment: str) -> StoreError:
    """What to say of an experiment that was deleted in the UI."""
    return StoreError(
        f"experiment '{name}' was deleted from {uri}; bring it back with `MLFLOW_TRACKING_URI={uri} "
        f"mlflow experiments restore --experiment-id {experiment}`, or record in another one with "
        "tracking.experiment=NAME"
    )


@contextmanager
def _sqlite(file: Path) -> Iterator[Ask]:
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=20)) as store:
        yield lambda query: store.execute(query).fetchall()


@contextmanager
def _server(uri: str) -> Iterator[Ask]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        patience = {"connect_timeout": _SECONDS} if uri.startswith(("postgresql", "mysql")) else {}
        engine = create_engine(uri, connect_args=patience)
        with closing(engine.connect()) as store:
            yield lambda query: list(store.execute(text(query)).fetchall())
    except (SQLAlchemyError, ImportError) as error:
        reason = first_line(error)
        raise StoreError(f"tracking store {uri}: cannot be reached: {reason}") from None
    else:
        engine.dispose()


def _tables(uri: str) -> str:
    """The query for the tables of the database at `uri`: a server lists those of others too."""
    kind = uri.partition(":")[0].partition("+")[0]
    return _TABLES.format(_HERE.get(kind, "current_schema"))


def _check_schema(uri: str, ask: Ask) -> None:
    known = _revisions()
    latest = known.keys() - {before for follows in known.values() for before in follows}
    found = {row[0] for row in ask("SELECT version_num FROM alembic_version")}
    if found <= latest:
        return
    which = f"has the schema {', '.join(sorted(found))}, MLflow {metadata.version('mlflow')} has"
    newest = ", ".join(sorted(latest))
    if found <= known.keys():
        raise StoreError(
            f"tracking store {uri} is an older MLflow's: it {which} {newest}; keep a copy of it, then "
            f"`mlflow db upgrade {uri}`"
        )
    raise StoreError(
        f"tracking store {uri} is another MLflow's: it {which} {newest} and does not know that one; "
        "install the MLflow that it was last used with, or give another store"
    )


def _check_experiment(uri: str, ask: Ask, experiment: str | None) -> None:
    for number, name, stage in ask("SELECT experiment_id, name, lifecycle_stage FROM experiments"):
        if name == experiment and stage != "active":
            raise deleted(name, uri, str(number))


@cache
def _revisions() -> dict[str, list[str]]:
    """MLflow's schemas, each with those it follows, as its migrations say."""
    package = util.find_spec("mlflow")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "store" / "db_migrations" / "versions"
    texts = [file.read_text("utf-8") for file in folder.glob("*.py")]
    return {
        name: before
        for text in texts
        for name in _said("revision", text)
        for before in [_said("down_revision", text)]
    }


def _said(key: str, text: str) -> list[str]:
    """The texts on the right side of ``key = ...``."""
    line = re.search(rf"^{key}\b[^=\n]*=(.*)$", text, re.MULTILINE)
    return re.findall(r"[\"'](\w+)[\"']", line[1]) if line else []
