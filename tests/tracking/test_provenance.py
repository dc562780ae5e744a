from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from seqsweep.tracking.provenance import common_tags

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_versions_user_and_command() -> None:
    tags = common_tags()
    assert tags["seqsweep.version.torch"].startswith("2.")
    assert {"mlflow.user", "mlflow.source.name", "seqsweep.command"} <= set(tags)


def test_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "seqsweep.git_dirty" not in common_tags()
    git(tmp_path, "init")
    assert "seqsweep.git_dirty" not in common_tags(), "no commit yet"
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    clean = common_tags()
    assert clean["mlflow.source.git.commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert clean["seqsweep.git_dirty"] == "false"
    (tmp_path / "file").write_text("2")
    assert common_tags()["seqsweep.git_dirty"] == "true"


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "mlflow.source.git.commit" not in common_tags()
