"""Hydra's own suites for launchers, on ours."""

from __future__ import annotations

import pytest
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.version import VersionBase
from packaging.version import Version

WORKERS = "hydra.launcher.workers=2"


@pytest.fixture(autouse=True)
def version_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites expect an application that names no version, whatever ran before in this process."""
    monkeypatch.setattr(VersionBase.instance(), "version_base", Version("1.1"))


@pytest.mark.parametrize(("launcher_name", "overrides"), [("seqsweep", [WORKERS])])
class TestLauncher(LauncherTestSuite):
    """Sweeps started in this process; what they run is a method of an object with closures."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("seqsweep", [WORKERS, "hydra.sweeper.max_batch_size=2"])]
)
class TestBatches(BatchedSweeperTestSuite):
    """Several batches of one launcher."""


@pytest.mark.real
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=seqsweep", WORKERS])]
)
class TestIntegration(IntegrationTestSuite):
    """Scripts, run as users run them."""
