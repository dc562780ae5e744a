"""A few faults of each kind; ``make faults`` is the whole campaign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.campaign import Campaign
from faults.kinds import IN_APPLICATION, INSIDE

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Campaign:
    """One for all tests: its undisturbed studies run once."""
    return Campaign(folder)


@pytest.fixture
def campaign(shared: Campaign) -> Iterator[Campaign]:
    shared.rows.clear()
    yield shared
    broken = [breach for row in shared.rows.values() for breach in row.breaches]
    assert not broken, "\n".join(broken)


def test_killed_workers(campaign: Campaign) -> None:
    assert campaign.outside("worker-killed", seed=1, strikes=3, kind="random") > 0


def test_killed_drivers(campaign: Campaign) -> None:
    assert campaign.outside("driver-killed", seed=1, strikes=2, kind="random") > 0


def test_a_killed_server(campaign: Campaign) -> None:
    assert campaign.outside("server-killed", seed=1, strikes=1, kind="random") > 0


def test_an_applications_killed_drivers(campaign: Campaign) -> None:
    assert campaign.outside("driver-killed-telling", seed=1, strikes=2, kind="app") > 0


def test_trials_that_go_wrong(campaign: Campaign) -> None:
    campaign.inside("random", list(INSIDE), seed=1)


def test_an_applications_trials_that_go_wrong(campaign: Campaign) -> None:
    campaign.inside("app", list(IN_APPLICATION), seed=1)
