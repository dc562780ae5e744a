from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqsweep.cli import main
from seqsweep.cli.foreign import batch_size, check_stores
from seqsweep.errors import ConfigError, StoreError
from seqsweep.launching import mounts
from seqsweep.launching.devices import count_cores

OURS = {"_target_": "hydra_plugins.seqsweep.launcher.SeqsweepLauncher", "workers": "auto"}
BASIC = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
JOBLIB = {"_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"}
SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher."


def size(launcher: dict[str, object], wanted: object = None) -> int | None:
    config = {"hydra": {"launcher": launcher, "sweeper": {"batch_size": wanted}}}
    return batch_size(OmegaConf.create(config))


@pytest.mark.parametrize(
    ("launcher", "wanted", "expected"),
    [
        (OURS, None, None),
        (BASIC, None, 1),
        (BASIC, 4, 4),
        (JOBLIB | {"n_jobs": 3}, None, 3),
        (JOBLIB | {"n_jobs": 3}, 6, 6),
        (JOBLIB | {"n_jobs": -1}, None, count_cores()),
        (JOBLIB | {"n_jobs": -2}, None, max(1, count_cores() - 1)),
        (JOBLIB | {"n_jobs": -1000}, None, 1),
        (JOBLIB | {"n_jobs": None}, None, 1),
        ({"_target_": SUBMITIT + "LocalLauncher", "timeout_min": 60}, None, 1),
        ({"_target_": SUBMITIT + "SlurmLauncher", "array_parallelism": 256}, None, 256),
    ],
    ids=str,
)
def test_a_batch_is_what_the_launcher_runs_at_a_time(
    launcher: dict[str, object], wanted: int | None, expected: int | None
) -> None:
    assert size(launcher, wanted) == expected


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hydra.sweeper.batch_size=0: expected an integer of at least 1"):
        size(BASIC, 0)


def test_our_launcher_has_no_batches() -> None:
    with pytest.raises(
        ConfigError, match=r"hydra.sweeper.batch_size=4: expected null with hydra/launcher=seq"
    ):
        size(OURS, 4)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 0:46 /export /shared rw,relatime - nfs4 server:/export rw
"""
STUDY, RECORD = "hydra.sweeper.storage", "tracking.uri"


@pytest.mark.parametrize("key", [STUDY, RECORD])
def test_embedded_stores_on_a_network_file_system_beside_several_nodes(key: str) -> None:
    files = {STUDY: Path("/local/optuna.db"), RECORD: None} | {key: Path("/shared/me/store.db")}
    with pytest.raises(StoreError) as refused:
        check_stores({"_target_": SUBMITIT + "SlurmLauncher"}, files, MOUNTS)
    text = str(refused.value)
    assert text.startswith(f"{key}: /shared/me/store.db is on a network file system (nfs4)")
    assert "MLFLOW_TRACKING_URI=http" in text
    assert "hydra.sweeper.storage=postgresql" in text


@pytest.mark.parametrize("launcher", [OURS, BASIC, JOBLIB, {"_target_": SUBMITIT + "LocalLauncher"}])
def test_on_one_machine_they_may_be_there(launcher: dict[str, object]) -> None:
    check_stores(launcher, {STUDY: Path("/shared/optuna.db"), RECORD: Path("/shared/mlflow.db")}, MOUNTS)


def test_servers_and_local_files_are_welcome_everywhere() -> None:
    check_stores({"_target_": SUBMITIT + "SlurmLauncher"}, {STUDY: None, RECORD: Path("/local/a.db")}, MOUNTS)


def test_such_a_study_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    here, table = tmp_path / "here", tmp_path / "mountinfo"
    here.mkdir()
    table.write_text(f"31 22 0:46 /export {here} rw,relatime - nfs4 server:/export rw\n")
    monkeypatch.setattr(mounts, "TABLE", table)
    monkeypatch.setenv("SEQSWEEP_HOME", str(here))
    assert main(["sweep", "digits", "hydra/launcher=submitit_slurm"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"seqsweep: {STUDY}: {here}/optuna.db is on a network file system (nfs4)")
    assert len(said.splitlines()) == 1
    assert list(here.iterdir()) == []
