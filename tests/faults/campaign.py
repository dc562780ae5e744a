"""The campaign: every fault so many times, at moments drawn from a seed, and the invariants after each.

    make faults                                               all of it, some 40 minutes on two cores
    PYTHONPATH=tests .venv/bin/python -m faults --only driver-killed --kills 8 --seed 3

Prints a line a study as it goes, with the seed and the moments that repeat it,
then a table; exits 1 if an invariant broke.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faults.invariants import Breach
from faults.kinds import IN_APPLICATION, INSIDE, OUTSIDE, never_struck, strike_inside
from faults.sweeps import Bench, Struck, Undisturbed, judge

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "faults.json"
KINDS = ("random", "grid", "pruning", "app")
"""Studies that are struck from outside, in turn."""
ONLY = {"check-and-test-killed": ("random", "grid")}
"""Those of them that a fault fits, where it does not fit all: an application's trials are not checked or tested."""
PER_STUDY = 4
"""Faults from outside in one study."""
ENOUGH = {"server-killed": 8, "driver-killed-telling": 16, "check-and-test-killed": 4}
"""Kills of one kind in the whole campaign, where it is not what ``--kills`` says."""


@dataclass
class Row:
    """One fault's line in the table."""

    fault: str
    seeds: list[int] = field(default_factory=list)
    strikes: int = 0
    seconds: float = 0.0
    breaches: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        return f"BROKEN: {self.breaches[0]}" if self.breaches else "ok"


class Campaign:
    """Runs studies, strikes them and keeps count."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bench = Bench(root)
        self.rows: dict[str, Row] = {}

    def outside(self, name: str, seed: int, strikes: int = PER_STUDY, kind: str | None = None) -> int:
        """One study with `strikes` faults from outside; how many of them came."""
        kinds = ONLY.get(name, KINDS)
        kind = kind or kinds[seed % len(kinds)]
        undisturbed = self._bench.undisturbed(kind)
        began = time.monotonic()
        rng = random.Random(f"{name}/{seed}")
        sweep = self._bench.sweep(kind, f"{name}-{seed}", arguments=("hydra.launcher.retries=99",))
        struck = OUTSIDE[name](sweep, rng, strikes, undisturbed.writes)
        broken = _judge(struck, undisturbed)
        self._note([name], seed, kind, struck, broken, time.monotonic() - began)
        return len(struck.moments)

    def inside(self, kind: str, names: Sequence[str], seed: int) -> None:
        """One study in which as many trials have one of the faults each."""
        undisturbed = self._bench.undisturbed(kind)
        began = time.monotonic()
        struck = strike_inside(self._bench, kind, f"inside-{kind}-{seed}", names, random.Random(seed))
        broken = _judge(struck, undisturbed)
        self._note(names, seed, kind, struck, broken, time.monotonic() - began)

    def _note(
        self,
        names: Sequence[str],
        seed: int,
        kind: str,
        struck: Struck,
        broken: Sequence[Breach],
        seconds: float,
    ) -> None:
        for name in names:
            row = self.rows.setdefault(name, Row(name))
            row.seeds.append(seed)
            row.strikes += len(struck.moments) if name in OUTSIDE else 1
            row.seconds += seconds
            # what breaks in one trial is its own fault's doing, what breaks the study may be anybody's
            row.breaches += [
                f"seed {seed}: {breach}"
                for breach in broken
                if breach.trial is None or struck.culprits.get(breach.trial, name) == name
            ]
        label = names[0] if len(names) == 1 else f"{len(names)} faults in trials"
        print(f"{label}, seed {seed}, {kind}: {'BROKEN' if broken else 'ok'}, {seconds:.0f} s", flush=True)
        print(f"    at {'; '.join(struck.moments) or 'none: the study was over before'}", flush=True)
        for breach in broken:
            print(f"    {breach}", flush=True)
        if broken:
            print(f"    kept in {struck.sweep.folder}", flush=True)
        else:
            shutil.rmtree(struck.sweep.folder)


def _judge(struck: Struck, undisturbed: Undisturbed) -> list[Breach]:
    """What broke; stores that the checks themselves stumble over are broken, too."""
    broken = [Breach(trial, "its fault did not strike") for trial in never_struck(struck)]
    try:
        broken += judge(struck.sweep, struck, undisturbed)
    except Exception as error:
        broken.append(Breach(None, f"the checks failed: {type(error).__name__}: {error}"))
    return broken


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    root = options.folder or Path(tempfile.mkdtemp(prefix="seqsweep-faults-"))
    print(f"studies under {root}", flush=True)
    campaign = Campaign(root)
    wanted = options.only or [*OUTSIDE, *INSIDE, *IN_APPLICATION]
    for seed in range(options.seed, options.seed + options.seeds):
        if names := [name for name in INSIDE if name in wanted]:
            campaign.inside("random", names, seed)
        if names := [name for name in IN_APPLICATION if name in wanted]:
            campaign.inside("app", names, seed)
    for name in [name for name in OUTSIDE if name in wanted]:
        enough = min(options.kills, ENOUGH.get(name, options.kills))
        _strike_often(campaign, name, options.seed, enough)
    print("\n".join(_table(campaign.rows.values())))
    if not options.only:
        _write(campaign.rows.values(), options.seed)
    return 1 if any(row.breaches for row in campaign.rows.values()) else 0


def _strike_often(campaign: Campaign, name: str, seed: int, enough: int) -> None:
    """Studies until so many faults have come: the last moments may fall after a study's end."""
    came = 0
    for study in range(2 * enough):
        if came >= enough:
            return
        came += campaign.outside(name, seed + study, min(PER_STUDY, enough - came))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    every = [*OUTSIDE, *INSIDE, *IN_APPLICATION]
    parser = argparse.ArgumentParser(prog="python -m faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=every, metavar="FAULT", help=", ".join(every))
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seeds", type=int, default=2, help="how many for the faults in trials (2)")
    parser.add_argument("--kills", type=int, default=40, help="of each kind from outside (40)")
    parser.add_argument("--folder", type=Path, help="where the studies are kept; a temporary folder")
    return parser.parse_args(arguments)


def _table(rows: Collection[Row]) -> Iterator[str]:
    yield f"{'fault':<20} {'seeds':>7} {'strikes':>8} {'seconds':>8}  result"
    for row in rows:
        seeds = f"{row.seeds[0]}-{row.seeds[-1]}"
        yield f"{row.fault:<20} {seeds:>7} {row.strikes:>8} {row.seconds:>8.0f}  {row.result}"


def _write(rows: Collection[Row], seed: int) -> None:
    machine = {"system": platform.platform(), "cores": os.cpu_count(), "python": sys.version}
    found = [asdict(row) | {"result": row.result, "seconds": round(row.seconds, 1)} for row in rows]
    RESULTS.write_text(json.dumps({"machine": machine, "seed": seed, "rows": found}, indent=1) + "\n")
