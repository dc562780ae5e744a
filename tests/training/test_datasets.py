"""How a run's data is recorded: other data has another digest, the same data the same one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningDataModule

from seqsweep.data import Digits, SequenceData, TextClassification
from seqsweep.spec import DataSpec
from seqsweep.tracking import Dataset
from seqsweep.training.building import Built
from seqsweep.training.datasets import _files, datasets


def recorded(data: Any, **config: Any) -> dict[str, Dataset]:
    """By what for."""
    spec = data.spec if isinstance(data, SequenceData) else DataSpec("own", 2, input_size=3)
    built = Built(data, spec, None, None, {}, {"data": {"_target_": "my.Data", **config}})  # type: ignore[arg-type]
    return {each.context: each for each in datasets(built)}


def digests(data: SequenceData) -> list[str]:
    return [each.digest for each in recorded(data).values()]


def test_parts_with_their_sizes(isolated_home: Path) -> None:
    found = recorded(Digits())
    assert {part: each.profile for part, each in found.items()} == {
        "train": {"examples": 1137},
        "val": {"examples": 300},
        "test": {"examples": 360},
    }
    assert {each.name for each in found.values()} == {"digits"}
    assert len({each.digest for each in found.values()}) == 3
    assert found["train"].source_type == "code"
    assert json.loads(json.dumps(found["train"].schema))["mlflow_colspec"][0]["name"] == "inputs"


def test_digests_tell_data_apart_and_nothing_else(isolated_home: Path) -> None:
    first = digests(Digits())
    assert digests(Digits(batch_size=64, seed=5)) == first
    assert not set(digests(Digits(split_seed=1))) & set(first)


def test_a_digest_is_of_the_content_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolated_home: Path
) -> None:
    found = []
    for name, text in (("here", "good"), ("there", "good"), ("else", "fine")):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        rows = "".join(f"{text} {i},yes\nbad {i},no\n" for i in range(30))
        (folder / "texts.csv").write_text(f"text,label\n{rows}")
        found.append(recorded(TextClassification(train=str(folder / "texts.csv"))))
    here, there, other = found
    assert here["train"].source == {
        "uri": str(tmp_path / "here" / "texts.csv"),
        "files": ["texts.csv"],
        "count": 1,
    }
    assert here["train"].source_type == "local"
    assert here["train"].digest == there["train"].digest != other["train"].digest


def test_an_entry_of_an_older_version_gets_its_digest(isolated_home: Path) -> None:
    first = digests(Digits())
    (content,) = (isolated_home / "cache").rglob("content")
    content.unlink()
    assert digests(Digits()) == first
    assert content.is_file()
    content.write_text("")
    assert digests(Digits()) == first


def test_somebodys_own_module(isolated_home: Path) -> None:
    one, other = (recorded(LightningDataModule(), path=path)["train"] for path in ("a", "b"))
    assert one.digest != other.digest
    assert one.source["tags"]["mlflow.source.name"] == "my.Data"


def test_a_folder_of_many_files_is_told_in_few_words() -> None:
    files = [Path(f"/recordings/{number:06}.wav") for number in range(20_000)]
    _, source = _files(files)
    assert source["count"] == 20_000
    assert source["files"][0] == "000000.wav"
    assert len(json.dumps(source)) < 65_535  # MLflow's limit
