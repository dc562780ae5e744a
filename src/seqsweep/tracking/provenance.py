"""Where a run comes from: versions, commit and what differs from it, user, command."""

from __future__ import annotations

import getpass
import hashlib
import shlex
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

from seqsweep import paths
from seqsweep.errors import without_password

_PACKAGES = ("seqsweep", "torch", "lightning", "hydra-core", "optuna", "mlflow")
_GIT = ("git", "--no-optional-locks")
_GIT_SECONDS = 5.0
_LARGEST_DIFF = 2**22

DIFF = "git.diff"
"""The file that holds what the code differed by from its commit."""


def common_tags() -> dict[str, str]:
    """Tags that all runs of this process share. Takes some 20 ms, more in a large repository."""
    return {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _program(),
        "seqsweep.command": without_password(command()),
        "seqsweep.working_directory": str(Path.cwd()),
        "seqsweep.version.python": ".".join(map(str, sys.version_info[:3])),
        **_versions(),
        **_git(Path.cwd()),
    }


def command() -> str:
    """What was typed, ready for a shell in the same folder."""
    script = sys.argv[0].endswith(".py") and Path(sys.argv[0]).name != "__main__.py"
    started = ["python", sys.argv[0]] if script else [_program()]
    return shlex.join([*started, *sys.argv[1:]])


def code_version(folder: Path) -> str:
    """What code runs from `folder`: our own version and, inside a repository, its commit."""
    git = _git(folder)
    changed = ", changed since" if git.get("seqsweep.git_dirty") == "true" else ""
    commit = f", commit {git['mlflow.source.git.commit'][:12]}{changed}" if git else ""
    return f"seqsweep {metadata.version('seqsweep')}{commit}"


def keep_diff(directory: Path) -> list[Path]:
    """Write what the code here differs by from its commit into a run's folder; the file, if there is any.

    A study that is gone on with after more edits gets another file, beside the first;
    the tag ``seqsweep.git_diff`` of each Run says which is its own.
    """
    diff = _diff(Path.cwd())
    if not diff:
        return []
    file = directory / paths.STATE / DIFF
    if file.exists() and file.read_bytes() != diff:
        file = file.with_stem(f"git-{_digest(diff)}")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(file.name + ".new")
        draft.write_bytes(diff)
        draft.replace(file)
    return [file]


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
    """Commit, and whether tracked files differ from it and in what; nothing outside a repository."""
    try:
        commit = _ask_git(folder, "rev-parse", "--verify", "HEAD").decode().strip()
        changes = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    diff = _diff(folder) if changes else b""
    return {
        "mlflow.source.git.commit": commit,
        "seqsweep.git_dirty": str(bool(changes)).lower(),
        **({"seqsweep.git_diff": _digest(diff)} if diff else {}),
    }


def _diff(folder: Path) -> bytes:
    """What tracked files of the repository differ by from its commit; only how much, if it is too large.

    Whatever goes wrong with it, no run shall fail for that: then it is empty.
    """
    # in git's own form, whatever the user has set for looking at it
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
    asked = ("-c", "diff.relative=false", "diff", *plain, "HEAD")
    try:
        diff = _beginning(folder, *asked)
        if len(diff) <= _LARGEST_DIFF:
            return diff
        counts = _ask_git(folder, *asked, "--stat=200")
    except (OSError, subprocess.SubprocessError):
        return b""
    return b"# more than %d bytes of differences, too many to be kept\n" % _LARGEST_DIFF + counts


def _digest(diff: bytes) -> str:
    return hashlib.sha256(diff).hexdigest()[:12]


def _ask_git(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        [*_GIT, *arguments], cwd=folder, capture_output=True, timeout=_GIT_SECONDS, check=True
    )
    return done.stdout


def _beginning(folder: Path, *arguments: str) -> bytes:
    """What git answers; of a long answer only so much that its length shows."""
    with subprocess.Popen(
        [*_GIT, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as git:
        late = threading.Timer(_GIT_SECONDS, git.kill)
        late.start()
        assert git.stdout is not None
        answer = git.stdout.read(_LARGEST_DIFF + 1)
        late.cancel()
        git.stdout.close()
    if git.returncode and len(answer) <= _LARGEST_DIFF:
        raise subprocess.CalledProcessError(git.returncode, git.args)
    return answer
