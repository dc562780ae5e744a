"""Downloading a named data set: checked against its published content, and whole or not there at all."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from seqsweep.data import files
from seqsweep.errors import DataError, SeqsweepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seqsweep.catalogue import DataSet, File

SECONDS = 30
"""How long a server may keep silent."""


def fetch(wanted: DataSet, root: Path) -> Iterator[tuple[File, bool]]:
    """Bring the set's files into ``<root>/<name>/``, one after the other.

    Yields each file once it is there, and whether it was there before. A file stands under its
    name only when all of it has come and been found to be what the authors published.

    Raises:
        DataError: the set has no address to download it from, a file is not what was published, or the
            folder cannot be written to.
        SeqsweepError: the server cannot be reached.

    """
    folder = root / wanted.name
    missing = [file.name for file in wanted.files if files.find(folder, file.name) is None]
    if missing and not wanted.fetchable:
        raise DataError(
            f"{wanted.name} cannot be downloaded by itself: get {_few(missing)} from {wanted.home} "
            f"and put it into {folder}"
        )
    for file in wanted.files:
        found = files.find(folder, file.name)
        if found is not None:
            _check(file, files.read_bytes(found), str(found), "move it away to have it downloaded")
        else:
            _download(wanted, file, folder)
        yield file, found is not None


def _download(wanted: DataSet, file: File, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as place:
            content = _content(wanted, file, Path(place), folder)
            whole = Path(place) / "whole"
            whole.write_bytes(content)
            whole.replace(folder / file.name)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); choose another with --root"
        ) from error


def _content(wanted: DataSet, file: File, place: Path, folder: Path) -> bytes:
    """What was downloaded, unpacked and checked."""
    import pooch
    from requests.exceptions import RequestException

    assert file.address is not None
    path = place / file.address.rpartition("/")[2]
    try:
        # not streamed, or a refusal's connection would stay open
        pooch.HTTPDownloader(timeout=SECONDS, stream=False)(file.address, str(path), None)
    except RequestException as error:
        raise SeqsweepError(
            f"{file.address} cannot be downloaded ({_reason(error)}); try again, or get {wanted.name} from "
            f"{wanted.home} and put it into {folder}"
        ) from error
    again = f"try again; if it stays so, get {wanted.name} from {wanted.home}"
    content = _unpacked(path, file, again)
    _check(file, content, file.address, again)
    return content


def _unpacked(path: Path, file: File, again: str) -> bytes:
    if path.suffix != ".zip" or file.name == path.name:
        try:
            return files.read_bytes(path)
        except DataError as error:
            raise DataError(f"{file.address}: what came is not a whole gzip file; {again}") from error
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(file.name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{file.address}: expected a zip file that holds {file.name}; {again}") from error


def _check(file: File, content: bytes, place: str, mend: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{place}: not what was published ({len(content):,} bytes, SHA-256 {found[:12]}...; expected "
            f"{file.size:,} bytes, {file.sha256[:12]}...); {mend}"
        )


def _few(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _reason(error: Exception) -> str:
    """The heart of it: the request library wraps what the network said in the names of its classes."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server says {response.status_code} {response.reason}"
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
