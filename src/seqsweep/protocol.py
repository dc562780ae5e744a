"""The keystone: how work is described, handed out and answered.

A *Study* asks for trials; an *Executor* runs each as a *Job* on a *Slot*; the
*Outcome* goes back to the study. Sweeping knows only this module of whatever
runs the jobs, and executors know only this module of whatever they run. All of
it is plain data from the standard library, so that it crosses processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

# ---------------------------------------------------------------- outcomes


@dataclass(frozen=True)
class Complete:
    """The job ended well; `values` holds one number an objective.

    `detail` carries what else the job's entry hands back; it must be plain data.
    """

    values: tuple[float, ...] = ()
    detail: Any = None


@dataclass(frozen=True)
class Pruned:
    """The pruner said stop. `best` is the best value reported until then."""

    best: float | None = None


@dataclass(frozen=True)
class Failed:
    """The job raised; `text` is the error as a person should read it.

    `usage` marks a mistake of the user's rather than of the program's.
    """

    text: str
    usage: bool = False


@dataclass(frozen=True)
class Infeasible:
    """The configuration cannot work here: out of memory, or not a number from the start.

    `memory` marks the first: the job may work with nothing beside it on its device.
    """

    reason: str
    memory: bool = False


@dataclass(frozen=True)
class Interrupted:
    """The job was asked to stop early and left a checkpoint; the trial is to go on later."""


Outcome = Complete | Pruned | Failed | Infeasible | Interrupted

# ---------------------------------------------------------------- jobs and slots


@dataclass(frozen=True)
class Stacking:
    """How a job may run with others as one, in one process.

    Jobs whose stackings are equal may run together. `entry`, named or given like a
    job's own, is then called in place of theirs as ``entry(payloads, contexts)``, two
    lists with an element a member. It yields ``(place, outcome)`` as each member ends,
    its place being that in the lists. Members that have not ended when it returns or
    raises end with what that comes to. A job that nothing joins is run as if it had none.
    """

    entry: str | Callable[[list[Any], list[JobContext]], Iterator[tuple[int, Outcome]]]
    key: str
    """What the members must have in common."""


@dataclass(frozen=True)
class Job:
    """One attempt at one trial: a process's work, or a part of it.

    `entry` is an importable ``module:function`` or a callable that pickles; it is
    called as ``entry(payload, context)`` with a `JobContext` and returns an
    `Outcome`. `payload` is opaque to whoever runs the job. `directory` exists
    already and is the job's own. A job without `stack` has its process for itself.
    """

    trial: int
    entry: str | Callable[[Any, JobContext], Outcome]
    payload: Any
    directory: str
    attempt: int = 1
    stack: Stacking | None = None
    asks: bool = True
    """Whether it waits for the answer to each report, which may be to stop. Else it goes on while the value
    is being stored, and waits before it reports again, and in `JobContext.settle`."""


@dataclass(frozen=True)
class Slot:
    """A place where jobs run: a device, or a share of one.

    `devices` are the values for ``CUDA_VISIBLE_DEVICES``; empty means the
    processor. Up to `seats` jobs of one stack run on it as one; a job without takes it whole.
    A trial may train in `processes` processes, one a device if there are devices;
    they share the `threads` threads.
    """

    id: int
    devices: tuple[str, ...] = ()
    threads: int = 1
    seats: int = 1
    processes: int = 1


# ---------------------------------------------------------------- events


@dataclass(frozen=True)
class Started:
    """The job's first line is about to run, in process `pid`."""

    trial: int
    attempt: int
    pid: int


@dataclass(frozen=True)
class Report:
    """An intermediate value; sooner or later the job waits until `Executor.answer` is called."""

    trial: int
    attempt: int
    value: float
    step: int


@dataclass(frozen=True)
class Ended:
    """The job is over. Its seat is free; one of a stack is once all have ended that it ran with."""

    trial: int
    attempt: int
    outcome: Outcome
    seconds: float = 0.0
    """Since the process began with it, and with those it ran with."""
    peak_memory: int = 0
    """Largest resident size of the job's process, in bytes; 0 where unknown."""
    device_memory: int = 0
    """Most memory the job's process held on one of its devices, in bytes; 0 without one."""


@dataclass(frozen=True)
class SlotLost:
    """The process died before the job had an outcome; its seat is free.

    All that ran in it are lost, and it is not known which of them was the cause.
    """

    trial: int
    attempt: int
    slot: int
    reason: str


Event = Started | Report | Ended | SlotLost

# ---------------------------------------------------------------- protocols


@runtime_checkable
class JobContext(Protocol):
    """What a running job may ask of the process it runs in."""

    trial: int
    attempt: int
    directory: Path
    slot: Slot
    asks: bool
    """As the `Job`."""

    def report(self, value: float, step: int) -> bool:
        """Hand in an intermediate value; False means: stop, you are pruned, or `interrupted`.

        Members of a stack report from one thread. Of a job that does not ask, the values handed in by the
        latest two calls may still be lost to the driver; whoever goes on with it hands them in again.
        """

    def settle(self) -> bool:
        """Wait until all that was reported is stored; False if that will not be heard of any more."""

    @property
    def interrupted(self) -> bool:
        """Whether to write a checkpoint and return `Interrupted` soon."""


class Executor(Protocol):
    """Runs jobs on slots. Whatever implements it passes ``tests/contracts``.

    An executor is a context manager: leaving it ends every process it started.
    """

    def slots(self) -> Sequence[Slot]:
        """All slots, busy or free; none goes away, but more may come while it runs."""

    def submit(self, job: Job, slot: Slot) -> None:
        """Start `job` at once, or with others of its stack.

        An empty slot takes jobs of one stack, one after the other, up to its seats. They
        begin together in one process: when no seat is left, or else at the next `poll`,
        and after that none joins them.

        Raises:
            ValueError: no seat of `slot` is free, or those there are of another stack.

        """

    def poll(self, timeout: float | None = None) -> list[Event]:
        """Wait up to `timeout` seconds for events; events of one trial keep their order.

        An attempt's last event is `Ended` or `SlotLost`, and exactly one of them.
        """

    def answer(self, trial: int, go: bool) -> None:
        """The pruner's word on the trial's latest `Report`."""

    def interrupt(self, trial: int) -> None:
        """Ask the trial to write a checkpoint and end; it ends as `Interrupted`."""

    def cancel(self, trial: int) -> None:
        """End the trial's process now; it ends as `SlotLost`, and all that run in it."""

    def close(self) -> None:
        """End everything. Safe to call twice."""


@dataclass
class LocalContext:
    """A `JobContext` without an executor: for a single run, and for tests.

    Reports are kept and always answered with go.
    """

    directory: Path
    trial: int = 0
    attempt: int = 1
    slot: Slot = field(default_factory=lambda: Slot(id=0))
    asks: bool = True
    interrupted: bool = False
    reports: list[tuple[float, int]] = field(default_factory=list)

    def report(self, value: float, step: int) -> bool:
        """Keep the value; go on."""
        self.reports.append((value, step))
        return True

    def settle(self) -> bool:
        """They are kept."""
        return True
