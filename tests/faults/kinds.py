"""The faults: each a small entry in one of the registries below.

A fault from outside is a function that disturbs a sweep while it runs; one from
inside is a callback in a trial, or what an application's function does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from end_to_end.driving import Driver
from faults import strikes
from faults.invariants import Breach, told
from faults.sweeps import BATCHES, EPOCHS, KINDS, Bench, Struck, Sweep, Writes, leftovers

# ---------------------------------------------------------------- from outside

Outside = Callable[[Sweep, random.Random, int, int], Struck]
"""Strikes so many times while the study makes so many file changes."""

OUTSIDE: dict[str, Outside] = {}
"""Faults that strike a study's processes."""


def outside(name: str) -> Callable[[Outside], Outside]:
    def register(fault: Outside) -> Outside:
        OUTSIDE[name] = fault
        return fault

    return register


@outside("worker-killed")
def kill_workers(sweep: Sweep, rng: random.Random, strikes: int, writes: int) -> Struck:
    """SIGKILL of a process that runs a trial."""
    return _beside_the_driver(sweep, rng, _moments(rng, strikes, writes), _busy)


@outside("server-killed")
def kill_the_server(sweep: Sweep, rng: random.Random, strikes: int, writes: int) -> Struck:
    """SIGKILL of the warm server that the workers are forked from."""
    return _beside_the_driver(sweep, rng, _moments(rng, strikes, writes), _servers)


@outside("driver-killed")
def kill_drivers(sweep: Sweep, rng: random.Random, strikes: int, writes: int) -> Struck:
    """SIGKILL of the driver; the same command is started again, sometimes before all its workers are gone."""
    clock = Writes(sweep.folder)
    return _drivers(sweep, rng, _moments(rng, strikes, writes), clock.look, 0.3)


@outside("driver-killed-telling")
def kill_telling_drivers(sweep: Sweep, rng: random.Random, strikes: int, writes: int) -> Struck:
    """The same in the milliseconds after a trial's end is in Optuna's store and not yet in MLflow's."""
    moments = sorted(rng.sample(range(1, sweep.kind.expected.n_trials + 1), strikes))
    return _drivers(sweep, rng, moments, lambda: told(sweep.folder), 0.01)


@outside("check-and-test-killed")
def kill_check_and_test(sweep: Sweep, rng: random.Random, strikes: int, writes: int) -> Struck:
    """SIGKILL of the two processes that train nothing: the study's check and its best trial's test."""
    driver, struck = sweep.start(), []
    for moment in (0, sweep.kind.expected.n_trials):
        if not _arrive(lambda: told(sweep.folder), moment, 0.0, driver):
            break
        if victim := _choose(driver, rng, _busy):
            victim.kill()
            struck.append("the test" if moment else "the check")
    return Struck(sweep, sweep.finish(driver), struck)


def _moments(rng: random.Random, strikes: int, writes: int) -> list[int]:
    return sorted(rng.randint(1, writes) for _ in range(strikes))


def _drivers(
    sweep: Sweep, rng: random.Random, moments: list[int], clock: Callable[[], int], delay: float
) -> Struck:
    driver, struck = sweep.start(), []
    left: list[Breach] = []
    for moment in moments:
        if not _arrive(clock, moment, rng.uniform(0.0, delay), driver):
            break
        driver.process.kill()
        driver.process.wait()
        patient = rng.random() < 0.5
        if patient:
            left += leftovers(sweep, "after its driver was killed")
        struck.append(f"{moment}{' (waited)' if patient else ''}")
        driver = sweep.start()
    return Struck(sweep, sweep.finish(driver), struck, breaches=left)


def _beside_the_driver(
    sweep: Sweep,
    rng: random.Random,
    moments: list[int],
    victims: Callable[[Driver], list[psutil.Process]],
) -> Struck:
    driver, clock, struck = sweep.start(), Writes(sweep.folder), []
    for moment in moments:
        if not _arrive(clock.look, moment, rng.uniform(0.0, 0.3), driver):
            break
        if victim := _choose(driver, rng, victims):
            victim.kill()
            struck.append(str(moment))
    return Struck(sweep, sweep.finish(driver), struck)


def _arrive(clock: Callable[[], int], moment: int, delay: float, driver: Driver) -> bool:
    """Whether the moment came before the driver was through; then the delay is let pass."""
    while clock() < moment:
        if driver.process.poll() is not None:
            return False
        time.sleep(0.001)
    time.sleep(delay)
    return driver.process.poll() is None


def _choose(
    driver: Driver, rng: random.Random, victims: Callable[[Driver], list[psutil.Process]]
) -> psutil.Process | None:
    draw = rng.random()
    while driver.process.poll() is None:
        try:
            if found := victims(driver):
                return sorted(found, key=lambda process: process.pid)[int(draw * len(found))]
        except psutil.NoSuchProcess:
            continue
    return None


def _busy(driver: Driver) -> list[psutil.Process]:
    """The workers with a job; one may be kept ready for the next."""
    return [worker for worker in driver.workers() if _output(worker).name == "output.log"]


def _output(process: psutil.Process) -> Path:
    try:
        return Path(f"/proc/{process.pid}/fd/1").readlink()
    except OSError:  # it has just ended
        return Path()


def _servers(driver: Driver) -> list[psutil.Process]:
    children = psutil.Process(driver.process.pid).children()
    return [child for child in children if any("forkserver" in word for word in child.cmdline())]


# ---------------------------------------------------------------- from inside


@dataclass(frozen=True)
class Inside:
    """A fault of one trial: what strikes, how often, and how the trial ends."""

    strike: str
    ends: str
    times: int | None = None
    """In so many attempts, then no more; None: in each."""
    epochs: tuple[int, int] = (0, EPOCHS - 1)
    """First and last epoch in which it may strike."""
    target: str = "faults.hooks.Fault"
    returns: str | None = None
    """What an application's function returns instead of a number."""
    trial_timeout: bool = False
    """Whether it takes a timeout to end it."""


INSIDE = {
    "nan-first": Inside("nothing", "infeasible", epochs=(0, 0), target="faults.hooks.NotANumber"),
    "nan-later": Inside("nothing", "failed", epochs=(1, EPOCHS - 1), target="faults.hooks.NotANumber"),
    "exception": Inside("raise_error", "failed"),
    "out-of-memory": Inside("run_out_of_memory", "infeasible"),
    "out-of-memory-once": Inside("run_out_of_memory", "complete", times=1),
    "hang": Inside("hang", "failed", trial_timeout=True),
    "hang-in-c": Inside("hang_in_c", "failed", trial_timeout=True),
    "segfault": Inside("segfault", "failed"),
    "segfault-once": Inside("segfault", "complete", times=1),
    "killed-itself": Inside("kill_itself", "failed"),
    "sys-exit": Inside("leave_python", "failed"),
    "os-exit": Inside("leave_the_process", "failed"),
    "thread-left": Inside("leave_a_thread", "complete"),
    "process-left": Inside("leave_a_process", "complete"),
}
"""Faults of seqsweep's own trials."""

IN_APPLICATION = {
    "app-text": Inside("nothing", "failed", returns="text"),
    "app-none": Inside("nothing", "failed", returns="nothing"),
    "app-nan": Inside("nothing", "failed", returns="not-a-number"),
    "app-exception": Inside("raise_error", "failed"),
    "app-out-of-memory": Inside("run_out_of_memory", "infeasible"),
    "app-hang": Inside("hang", "failed", trial_timeout=True),
    "app-segfault": Inside("segfault", "failed"),
    "app-segfault-once": Inside("segfault", "complete", times=1),
    "app-sys-exit": Inside("leave_python", "failed"),
    "app-thread-left": Inside("leave_a_thread", "complete"),
    "app-process-left": Inside("leave_a_process", "complete"),
}
"""Faults of another Hydra application's function."""

TRIAL_TIMEOUT = 25
"""Seconds, where a trial hangs; the others take one or two on an idle machine."""


def strike_inside(bench: Bench, kind: str, label: str, names: Collection[str], rng: random.Random) -> Struck:
    """One study in which as many trials have a fault each, at a place drawn from the seed."""
    faults = IN_APPLICATION if kind == "app" else INSIDE
    places = rng.sample(range(KINDS[kind].expected.n_trials), len(names))
    trials = dict(zip(places, names, strict=True))
    nodes: dict[str, dict[str, Any]] = {}
    moments = []
    for trial, name in trials.items():
        fault = faults[name]
        node: dict[str, Any] = {"name": name, "strike": fault.strike, "times": fault.times}
        if kind == "app":
            node |= {"step": rng.randrange(5), "returns": fault.returns}
            nodes[f"trial{trial}"] = node
            moments.append(f"{name}: trial {trial}, step {node['step']}")
        else:
            node |= {"trial": trial, "epoch": rng.randint(*fault.epochs), "batch": rng.randrange(BATCHES)}
            nodes[name] = {"_target_": fault.target, **_accepted(fault, node)}
            moments.append(f"{name}: trial {trial}, epoch {node['epoch']}, batch {node['batch']}")
    arguments: tuple[str, ...] = ()
    if any(faults[name].trial_timeout for name in names):
        arguments = (f"hydra.launcher.trial_timeout={TRIAL_TIMEOUT}",)
    sweep = bench.sweep(kind, label, nodes, arguments)
    status = sweep.finish(sweep.start())
    ends = {trial: faults[name].ends for trial, name in trials.items()}
    return Struck(sweep, status, moments, trials, ends)


def _accepted(fault: Inside, node: dict[str, Any]) -> dict[str, Any]:
    if fault.target == "faults.hooks.Fault":
        return node
    return {key: value for key, value in node.items() if key not in ("strike", "times")}


def never_struck(struck: Struck) -> Iterator[int]:
    """Trials whose fault did not come: the harness would show nothing."""
    for trial, name in struck.culprits.items():
        if not strikes.count(struck.sweep.studies_folder / str(trial), name):
            yield trial
