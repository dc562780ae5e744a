"""A few faults of each kind; ``make faults`` is the whole campaign."""

from __future__ import annotations

import pytest

from faults.campaign import Campaign
from faults.kinds import IN_APPLICATION, INSIDE

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """One for all tests: its undisturbed studies run once."""
    return Campaign(tmp_path_factory.mktemp("faults"))


def outside(campaign: Campaign, name: str, kind: str, strikes: int) -> None:
    assert campaign.outside(name, seed=1, strikes=strikes, kind=kind) > 0
    assert not campaign.rows[name].breaches


def inside(campaign: Campaign, kind: str, names: list[str]) -> None:
    campaign.inside(kind, names, seed=1)
    broken = {name: campaign.rows[name].breaches for name in names}
    assert not any(broken.values()), broken


def test_killed_workers(campaign: Campaign) -> None:
    outside(campaign, "worker-killed", "random", strikes=3)


def test_killed_drivers(campaign: Campaign) -> None:
    outside(campaign, "driver-killed", "random", strikes=2)


def test_a_killed_server(campaign: Campaign) -> None:
    outside(campaign, "server-killed", "random", strikes=1)


def test_an_applications_killed_drivers(campaign: Campaign) -> None:
    outside(campaign, "driver-killed-telling", "app", strikes=2)


def test_trials_that_go_wrong(campaign: Campaign) -> None:
    inside(campaign, "random", list(INSIDE))


def test_an_applications_trials_that_go_wrong(campaign: Campaign) -> None:
    inside(campaign, "app", list(IN_APPLICATION))
