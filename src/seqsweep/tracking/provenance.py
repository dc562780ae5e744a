"""Where a run comes from: versions, commit, user, command, as tags."""

from __future__ import annotations

import getpass
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_PACKAGES = ("seqsweep", "torch", "lightning", "hydra-core", "optuna", "mlflow")
_GIT_SECONDS = 5.0


def common_tags() -> dict[str, str]:
    """Tags that all runs of this process share. Takes some 10 ms, more in a large repository."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _program(),
        "seqsweep.command": shlex.join([_program(), *sys.argv[1:]]),
        "seqsweep.version.python": ".".join(map(str, sys.version_info[:3])),
        **_versions(),
        **_git(Path.cwd()),
    }


def code_version(folder: Path) -> str:
    """What code runs from `folder`: our own version and, inside a repository, its commit."""
    git = _git(folder)
    changed = ", changed since" if git.get("seqsweep.git_dirty") == "true" else ""
    commit = f", commit {git['mlflow.source.git.commit'][:12]}{changed}" if git else ""
    return f"seqsweep {metadata.version('seqsweep')}{commit}"


def _program() -> str:
    """What was started; a package run with ``python -m`` by its own name."""
    path = Path(sys.argv[0])
    return (path.parent.name if path.name == "__main__.py" else path.name) or "python"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[f"seqsweep.version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path) -> dict[str, str]:
    """Commit, and whether tracked files differ from it; nothing outside a repository."""
    try:
        commit = _ask_git(folder, "rev-parse", "--verify", "HEAD")
        changes = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": commit, "seqsweep.git_dirty": str(bool(changes)).lower()}


def _ask_git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
    )
    return done.stdout.strip()
