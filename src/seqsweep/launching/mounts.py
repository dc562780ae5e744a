"""Which file system a path is on, from the system's table of mounts."""

from __future__ import annotations

import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
"""Linux keeps it; elsewhere nothing is known."""

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gcsfuse", "glusterfs", "gpfs", "juicefs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "orangefs", "panfs", "pvfs2", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "wekafs"}
)
"""File systems whose files are another machine's, those in user space without their ``fuse.``."""


def network_file_system(path: Path, table: str | None = None) -> str | None:
    """The kind of file system that `path` is on, if it is one of the network, else None."""
    kind = file_system(path, table)
    return kind if kind is not None and kind.removeprefix("fuse.") in NETWORK else None


def file_system(path: Path, table: str | None = None) -> str | None:
    """The kind of file system that `path`, which need not exist, is on; None where that is not known.

    `table` is the text of ``/proc/self/mountinfo``, this machine's if not given.
    """
    if table is None:
        table = TABLE.read_text(encoding="utf-8", errors="replace") if TABLE.exists() else ""
    place = path.resolve()
    found, length = None, -1
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(_unescaped(before.split(" ")[4]))
        # Of two mounts on one point the later one covers the earlier.
        if place.is_relative_to(point) and len(point.parts) >= length:
            found, length = after.split(" ")[0], len(point.parts)
    return found


def _unescaped(field: str) -> str:
    """The kernel writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
