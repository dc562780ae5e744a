"""Downloading from a server of our own."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seqsweep.catalogue import DataSet, File
from seqsweep.data.fetching import fetch
from seqsweep.errors import DataError, SeqsweepError

TEXT = b"a line\n" * 1000


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; a file named ``short`` promises more than it sends."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/short":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()
        self.wfile.write(TEXT[:100])
        return None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """What the server at ``<site>/address`` has."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "plain.txt").write_bytes(TEXT)
    (folder / "packed.txt.gz").write_bytes(gzip.compress(TEXT))
    (folder / "cut.txt.gz").write_bytes(gzip.compress(TEXT)[:40])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.txt", TEXT)
        archive.writestr("other.txt", b"other")
    (folder / "all.zip").write_bytes(packed.getvalue())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (tmp_path / "address").write_text(f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()
        thread.join()


def entry(site: Path, *names: tuple[str, str | None], content: bytes = TEXT) -> DataSet:
    base = (site.parent / "address").read_text()
    sha256 = hashlib.sha256(content).hexdigest()
    found = tuple(File(name, sha256, len(content), page and f"{base}/{page}") for name, page in names)
    return DataSet("mine", "", "tagging", "free", "https://example.org", found)


def left(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "mine").rglob("*"))


def test_plain_gzipped_and_zipped_files_come_unpacked(site: Path, tmp_path: Path) -> None:
    wanted = entry(
        site, ("plain.txt", "plain.txt"), ("packed.txt", "packed.txt.gz"), ("inside.txt", "all.zip")
    )
    assert [was_there for _, was_there in fetch(wanted, tmp_path)] == [False] * 3
    assert left(tmp_path) == ["inside.txt", "packed.txt", "plain.txt"]
    assert all(path.read_bytes() == TEXT for path in (tmp_path / "mine").iterdir())


def test_what_is_there_is_not_downloaded_again(site: Path, tmp_path: Path) -> None:
    wanted = entry(site, ("plain.txt", "plain.txt"), ("packed.txt", "packed.txt.gz"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "packed.txt.gz").write_bytes(gzip.compress(TEXT))
    assert [was_there for _, was_there in fetch(wanted, tmp_path)] == [False, True]
    (site / "plain.txt").unlink()
    assert [was_there for _, was_there in fetch(wanted, tmp_path)] == [True, True]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("plain.txt", r"plain.txt: not what was published \(7,000 bytes, .*try again"),
        ("cut.txt.gz", r"cut.txt.gz: what came is not a whole gzip file"),
        ("all.zip", r"all.zip: expected a zip file that holds wanted.txt"),
    ],
)
def test_content_that_is_wrong_is_refused_and_gone(
    site: Path, tmp_path: Path, page: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(fetch(entry(site, ("wanted.txt", page), content=b"another"), tmp_path))
    assert left(tmp_path) == []


@pytest.mark.parametrize(("page", "reason"), [("short", "IncompleteRead"), ("nowhere", "404 File not found")])
def test_a_download_that_fails_says_what_to_do(site: Path, tmp_path: Path, page: str, reason: str) -> None:
    with pytest.raises(
        SeqsweepError, match=f"cannot be downloaded .*{reason}.*try again, or get mine from"
    ) as error:
        list(fetch(entry(site, ("wanted.txt", page)), tmp_path))
    assert error.value.exit_code == 1
    assert left(tmp_path) == []


def test_no_network(site: Path, tmp_path: Path) -> None:
    (tmp_path / "address").write_text("http://127.0.0.1:9")
    with pytest.raises(SeqsweepError, match="Connection refused"):
        list(fetch(entry(site, ("plain.txt", "plain.txt")), tmp_path))


def test_a_file_that_is_there_but_another_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plain.txt").write_text("mine")
    with pytest.raises(DataError, match=r"mine/plain.txt: not what was published .* move it away"):
        list(fetch(entry(site, ("plain.txt", "plain.txt")), tmp_path))


def test_without_an_address_it_says_where_by_hand(site: Path, tmp_path: Path) -> None:
    wanted = entry(site, ("a.txt", None), ("b.txt", None))
    with pytest.raises(
        DataError, match=r"get a.txt and 1 more from https://example.org and put it into .*mine"
    ):
        list(fetch(wanted, tmp_path))
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "mine" / name).write_bytes(TEXT)
    assert [was_there for _, was_there in fetch(wanted, tmp_path)] == [True, True]


def test_a_folder_that_cannot_be_made(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/mine: cannot be written .*--root"):
        list(fetch(entry(site, ("plain.txt", "plain.txt")), tmp_path / "file"))
