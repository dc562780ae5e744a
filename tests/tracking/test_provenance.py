from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from seqsweep.tracking import provenance
from seqsweep.tracking.provenance import common_tags, keep_diff

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file, and a folder in it where one works."""
    folder = tmp_path / "repository"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("one\n")
    git(folder, "init")
    git(folder, "add", "file")
    git(folder, "commit", "-m", "first")
    monkeypatch.chdir(folder / "inner")
    return folder


def test_what_differs_is_kept_and_can_be_applied(repository: Path, tmp_path: Path) -> None:
    assert keep_diff(tmp_path / "run") == []
    assert "seqsweep.git_diff" not in common_tags()
    (repository / "file").write_bytes(b"caf\xe9\n\x00\x01")
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.external", "false")
    git(repository, "config", "color.ui", "always")
    (binary,) = keep_diff(tmp_path / "run")
    assert b"Binary files a/file and b/file differ" in binary.read_bytes()
    (repository / "file").write_bytes(b"caf\xe9\n")
    (kept,) = keep_diff(tmp_path / "other")
    assert kept.name == "git.diff"
    git(repository, "checkout", "file")
    git(repository, "apply", str(kept))
    assert (repository / "file").read_bytes() == b"caf\xe9\n"


def test_a_second_difference_stands_beside_the_first(repository: Path, tmp_path: Path) -> None:
    (repository / "file").write_text("two\n")
    (first,) = keep_diff(tmp_path)
    assert keep_diff(tmp_path) == [first]
    (repository / "file").write_text("three\n")
    (second,) = keep_diff(tmp_path)
    assert second.name == f"git-{common_tags()['seqsweep.git_diff']}.diff"
    assert keep_diff(tmp_path) == [second]
    assert b"+two" in first.read_bytes()
    assert b"+three" in second.read_bytes()


def test_a_large_difference_is_counted(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_LARGEST_DIFF", 1000)
    (repository / "file").write_text("line\n" * 1000)
    (kept,) = keep_diff(tmp_path)
    assert kept.read_bytes().startswith(b"# more than 1000 bytes of differences")
    assert b"file | 1001 " in kept.read_bytes()


def test_what_is_not_asked_about_is_not_kept(repository: Path, tmp_path: Path) -> None:
    (repository / "secret.env").write_text("TOKEN=1\n")
    assert keep_diff(tmp_path) == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["/usr/bin/seqsweep", "train", "a=b c"], "seqsweep train 'a=b c'"),
        (["/x/seqsweep/__main__.py", "sweep", "digits"], "seqsweep sweep digits"),
        (["src/app.py", "-m", "x=choice(1,2)"], "python src/app.py -m 'x=choice(1,2)'"),
    ],
)
def test_the_command_as_it_was_typed(typed: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", typed)
    assert provenance.command() == said
