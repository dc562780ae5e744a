from __future__ import annotations

from pathlib import Path

import pytest

from seqsweep.launching.mounts import TABLE, file_system, network_file_system

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:45 / /hosts rw - autofs systemd-1 rw
31 30 0:46 /export /hosts rw,relatime shared:2 master:1 - nfs4 server:/export rw,vers=4.2
32 31 8:2 / /hosts/local rw - xfs /dev/sdb1 rw
33 22 0:50 / /mnt/two\\040words rw - fuse.sshfs host:/ rw
34 22 0:51 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw
35 22 0:52 / /union rw - fuse.mergerfs pool rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/x", "ext4"),
        ("/hosts", "nfs4"),  # mounted over what mounts it on demand
        ("/hosts/me/optuna.db", "nfs4"),
        ("/hosts/local/optuna.db", "xfs"),
        ("/hostss/optuna.db", "ext4"),
        ("/mnt/two words/mlflow.db", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/hosts/me", "nfs4"), ("/scratch/me", "lustre"), ("/mnt/two words", "fuse.sshfs"), ("/hosts/local", None),
     ("/union/a", None), ("/", None)],
)  # fmt: skip
def test_which_of_them_are_on_the_network(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert file_system(Path("/hosts"), "") is None
    assert network_file_system(Path("/hosts"), "") is None


@pytest.mark.skipif(not TABLE.exists(), reason="Linux keeps the table")
def test_this_machine() -> None:
    assert file_system(Path("/proc/self/mountinfo")) == "proc"
    assert network_file_system(Path("/proc/self/mountinfo")) is None
