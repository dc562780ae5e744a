from __future__ import annotations

from pathlib import Path

import pytest

from seqsweep.errors import StoreError
from seqsweep.tracking import check_store
from seqsweep.tracking.stores import embedded_file, store_lock


def check(folder: Path) -> None:
    check_store(f"sqlite:///{folder / 'mlflow.db'}", folder / "mlartifacts")


def test_a_new_place_is_fine_and_left_empty(tmp_path: Path) -> None:
    check(tmp_path / "new" / "deep")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host"])
def test_other_stores_look_after_themselves(uri: str, tmp_path: Path) -> None:
    check_store(uri, tmp_path / "mlartifacts")


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "/tmp/mlruns", ""])
def test_file_stores_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected sqlite:///FILE"):
        check_store(uri, tmp_path)


def test_a_leftover_file_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    check(tmp_path)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    with pytest.raises(StoreError, match=r"mlruns holds experiments.*mv .*mlruns"):
        check(tmp_path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("precious notes, not a database")
    with pytest.raises(StoreError, match="not a SQLite database"):
        check(tmp_path)
    (tmp_path / "mlflow.db").write_text("")
    check(tmp_path)


def test_a_folder_where_a_file_is_expected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(StoreError, match="expected a file"):
        check(tmp_path)


def test_a_file_where_a_folder_is_expected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        check(tmp_path / "file")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        check_store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "file")


def test_a_folder_that_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(StoreError, match="cannot be written to; change its permissions"):
        check(tmp_path)


def test_the_file_of_an_embedded_store() -> None:
    assert embedded_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert embedded_file("sqlite:///b.db") == Path("b.db").absolute()
    assert embedded_file("http://host") is None


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    import threading

    inside: list[int] = []
    most: list[int] = []

    def enter() -> None:
        for _ in range(50):
            with store_lock(f"sqlite:///{tmp_path}/mlflow.db"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
