"""Runs that several tests of the command line ask about, trained once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.stored_home import TINY, Home, write_reviews
from seqsweep.cli import main


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQSWEEP_HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        train = write_reviews(folder / "reviews.csv")
        assert main(["train", "data=text_classification", f"data.train={train}", *TINY]) == 0
        assert main(["train", "data=digits", *TINY, "trainer.max_epochs=1"]) == 0
    return Home(folder)


@pytest.fixture
def home(trained: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("SEQSWEEP_HOME", str(trained.folder))
    monkeypatch.chdir(trained.folder)
    return trained


@pytest.fixture
def changed(home: Home) -> Any:
    """Changes a stored file; it is put back afterwards."""
    before: dict[Path, bytes] = {}

    def change(kind: str, name: str, content: bytes) -> str:
        path = home.artifacts(kind) / name
        run = home.run(kind)
        before.setdefault(path, path.read_bytes())
        path.write_bytes(content)
        return run

    def config(kind: str, key: str, value: object) -> str:
        stored = yaml.safe_load((home.artifacts(kind) / "config.yaml").read_text())
        *groups, last = key.split(".")
        node = stored
        for group in groups:
            node = node[group]
        node[last] = value
        return change(kind, "config.yaml", yaml.safe_dump(stored).encode())

    change.config = config  # type: ignore[attr-defined]
    yield change
    for path, content in before.items():
        path.write_bytes(content)
