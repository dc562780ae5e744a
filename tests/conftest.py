"""What every test stands on: stores and caches of its own, and the real data where there is some."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tracking.postgres import Postgres, binaries

# How long an example takes depends on the machine, and on what else it does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell that starts the tests in the background has Ctrl-C ignored, and so would the programs they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = os.environ.get("SEQSWEEP_DATA")


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is read from, or left in, the home of whoever runs the tests."""
    monkeypatch.setenv("SEQSWEEP_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQSWEEP_DATA", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; where none is installed the test is skipped, or fails if it is required."""
    programs = binaries()
    if programs is None and os.environ.get("SEQSWEEP_REQUIRE_REAL") == "1":
        pytest.fail("SEQSWEEP_REQUIRE_REAL=1, but PostgreSQL is not installed (Debian's postgresql)")
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(programs)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def real_data() -> Path:
    """The folder of the published data sets; without one the test is skipped, or fails if it is required."""
    if REAL_DATA:
        return Path(REAL_DATA)
    if os.environ.get("SEQSWEEP_REQUIRE_REAL") == "1":
        pytest.fail("SEQSWEEP_REQUIRE_REAL=1, but SEQSWEEP_DATA is not set")
    pytest.skip("SEQSWEEP_DATA is not set")
