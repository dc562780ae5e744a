from __future__ import annotations

import json
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from data import preparing  # "tests" is on the path
from seqsweep import paths
from seqsweep.data.prepared import INDEX, digest, prepared
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import ForkServerContext
    from pathlib import Path


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seqsweep.data.prepared"])
    return context


def entry() -> Path:
    (found,) = (path for path in (paths.cache() / "prepared").iterdir() if path.is_dir())
    return found


def never() -> dict[str, np.ndarray]:
    raise AssertionError("built a second time")


def test_it_builds_once_and_gives_the_same_afterwards() -> None:
    first = prepared("set", preparing.arrays)
    again = prepared("set", never)
    assert list(first) == list(again) == ["numbers", "letters"]
    for name, array in preparing.arrays().items():
        assert torch.equal(again[name], torch.tensor(array))


def test_options_and_sources_decide_what_is_found(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("abc")
    os.utime(source, ns=(0, 0))
    first = digest("set", {"a": 1, "b": 2}, [source])
    assert digest("set", {"b": 2, "a": 1}, [source]) == first
    others = [digest("set", {"a": 1, "b": 3}, [source]), digest("other", {"a": 1, "b": 2}, [source])]
    os.utime(source, ns=(0, 1))
    others.append(digest("set", {"a": 1, "b": 2}, [source]))
    source.write_text("abcd")
    os.utime(source, ns=(0, 0))
    others.append(digest("set", {"a": 1, "b": 2}, [source]))
    assert len({first, *others}) == 5


def test_writing_to_a_prepared_tensor_changes_nothing_for_others() -> None:
    prepared("set", preparing.arrays)["numbers"].zero_()
    assert int(prepared("set", never)["numbers"][-1]) == 99_999


def cut_short(path: Path) -> None:
    os.truncate(path / "numbers.npy", 1000)


def lose_an_array(path: Path) -> None:
    (path / "numbers.npy").unlink()


def blank_a_header(path: Path) -> None:
    with (path / "numbers.npy").open("r+b") as file:
        file.write(bytes(64))


def lose_the_index(path: Path) -> None:
    (path / INDEX).unlink()


def write_index(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        (path / INDEX).write_text(text)

    write.__name__ = f"index {text!r}"
    return write


@pytest.mark.parametrize(
    "damage",
    [
        cut_short,
        lose_an_array,
        blank_a_header,
        lose_the_index,
        write_index('{"numbers": 800'),
        write_index("{}"),
        write_index("[1]"),
        write_index("\x00"),
        write_index(json.dumps({"numbers": 5})),
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_entry_is_built_anew(damage: Callable[[Path], None]) -> None:
    prepared("set", preparing.arrays)
    damage(entry())
    assert torch.equal(prepared("set", preparing.arrays)["numbers"], torch.arange(100_000))
    assert torch.equal(prepared("set", never)["numbers"], torch.arange(100_000))


def test_a_failed_build_leaves_nothing_to_be_found() -> None:
    def fail() -> dict[str, np.ndarray]:
        raise DataError("upstream's file is malformed")

    with pytest.raises(DataError, match="malformed"):
        prepared("set", fail)
    with pytest.raises(ValueError, match="'nothing' is empty"):
        prepared("set", lambda: {"nothing": np.zeros(0)})
    assert not [path for path in (paths.cache() / "prepared").iterdir() if path.is_dir()]
    prepared("set", preparing.arrays)


def test_a_killed_builders_leftovers_are_removed() -> None:
    prepared("set", preparing.arrays)
    (entry() / INDEX).unlink()
    leftover = entry().with_name(f"{entry().name}.new-abc")
    leftover.mkdir()
    prepared("set", preparing.arrays)
    assert not leftover.exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file/seqsweep/prepared: .*point XDG_CACHE_HOME"):
        prepared("set", preparing.arrays)


def test_of_many_processes_at_once_one_builds(processes: ForkServerContext, tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    builds.mkdir()
    together, answers = processes.Barrier(6), processes.Queue()
    started = [
        processes.Process(
            target=preparing.prepare_together, args=(paths.cache().parent, together, builds, answers)
        )
        for _ in range(6)
    ]
    for process in started:
        process.start()
    assert [answers.get(timeout=120) for _ in started] == [(4_999_950_000, b"seqsweep")] * 6
    for process in started:
        process.join()
        assert process.exitcode == 0
    assert len(list(builds.iterdir())) == 1
    answers.close()
    answers.join_thread()


def test_a_builder_that_is_killed_blocks_nobody(processes: ForkServerContext) -> None:
    here, there = processes.Pipe()
    process = processes.Process(target=preparing.prepare_forever, args=(paths.cache().parent, there))
    process.start()
    assert here.poll(timeout=120)
    assert here.recv() == "begun"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert torch.equal(prepared("shared", preparing.arrays)["numbers"], torch.arange(100_000))
    here.close()
    there.close()
