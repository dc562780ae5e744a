from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seqsweep.training import folder

TEXTS = st.text() | st.sampled_from(
    ["1e-3", "1", "null", "true", "~", "0x1f", "1_000", "2026-11-22", "é: [", " x", "${x"]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text("abc", min_size=1), PLAIN))
def test_a_configuration_is_read_as_it_was_written(tmp_path_factory, config: dict) -> None:
    path = folder.write_config(tmp_path_factory.mktemp("run"), config)
    written = path.read_text(encoding="utf-8")
    assert yaml.safe_load(written) == config
    if config and "${" not in written:  # which OmegaConf, and not our reader, takes for an interpolation
        assert OmegaConf.to_container(OmegaConf.load(path)) == config


def test_what_stands_in_two_places_is_written_twice(tmp_path: Path) -> None:
    shared = {"a": 1}
    path = folder.write_config(tmp_path, {"one": shared, "other": shared})
    assert "&" not in path.read_text()


def test_a_tuple_is_written_as_a_list(tmp_path: Path) -> None:
    path = folder.write_config(tmp_path, {"range": (1, "1e-3")})
    assert OmegaConf.load(path).range == [1, "1e-3"]


@pytest.mark.parametrize("links", [True, False])
def test_one_file_may_become_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:  # as on file systems that have none

        def refused(*_: object, **__: object) -> None:
            raise PermissionError("operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    last, best = tmp_path / "last", tmp_path / "best"
    for text in ("first", "second"):
        with folder.replacing(last, before=best) as part:
            part.write_text(text)
        assert last.read_text() == best.read_text() == text
    with folder.replacing(last) as part:
        part.write_text("third")
    assert (last.read_text(), best.read_text()) == ("third", "second")
    assert {path.name for path in tmp_path.iterdir()} == {"last", "best"}


@pytest.mark.parametrize("killed", [1, 2, 3])
def test_what_a_kill_leaves_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    """Killed before the first or second file has its name, the third time not at all."""
    last, best = tmp_path / "last", tmp_path / "best"

    def write(text: str) -> None:
        with folder.replacing(last, before=best) as part, part.open("w") as file:
            file.write(text)
            file.flush()
            seen.append(best.read_text() if best.exists() else None)

    class Killed(BaseException):
        pass

    seen: list[str | None] = []
    write("first")
    renames, rename, remove = iter(range(1, 9)), os.replace, Path.unlink

    def dying(source: Path, target: Path) -> None:
        if next(renames) == killed:
            monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # the dead tidy nothing up
            raise Killed
        rename(source, target)

    monkeypatch.setattr(os, "replace", dying)
    if killed < 3:
        with pytest.raises(Killed):
            write("second")
    monkeypatch.setattr(os, "replace", rename)
    monkeypatch.setattr(Path, "unlink", remove)
    stood = best.read_text()
    assert (last.read_text(), stood) == ("first", "second" if killed == 2 else "first")
    write("third, and longer")
    assert seen[-1] == stood  # while it was written
    assert last.read_text() == best.read_text() == "third, and longer"
    with folder.replacing(best) as part:
        part.write_text("smaller")
    assert (last.read_text(), best.read_text()) == ("third, and longer", "smaller")
    assert {path.name for path in tmp_path.iterdir()} == {"last", "best"}


def test_of_a_checkpoint_the_weights_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    weights = {"epoch": 3, "state_dict": {"weight": torch.ones(1000)}}
    torch.save(
        {**weights, "optimizer_states": [torch.ones(2000)], "callbacks": {}, "lr_schedulers": []}, path
    )
    size = path.stat().st_size
    folder.keep_weights(path)
    kept = torch.load(path, weights_only=True)
    assert kept.keys() == weights.keys()
    assert torch.equal(kept["state_dict"]["weight"], torch.ones(1000))
    assert path.stat().st_size < size / 2
