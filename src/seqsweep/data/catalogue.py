"""The named data sets: what each is, where it comes from, and its files."""

from __future__ import annotations

HOMES = {
    "scan": "https://github.com/brendenlake/SCAN",
}


def origin(name: str) -> str:
    """Where the named set is to be had."""
    return HOMES.get(name, f"its authors (`seqsweep data fetch {name}`)")
