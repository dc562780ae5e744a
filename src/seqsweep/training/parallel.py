"""One trial in several processes, each of which trains on its part of every batch.

The job's own process is the first. It alone records, writes, reports and listens to
the executor; it starts the others, the followers, which build the same run from its
configuration and do as it decides. A follower's error ends the trial as if it had
been the first's own; where a follower dies without a word, so does the first.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed

from seqsweep import paths
from seqsweep.tracking import MemoryTracker
from seqsweep.training.outcomes import Stop, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.process import BaseProcess
    from pathlib import Path
    from typing import SupportsFloat

    from seqsweep.protocol import Outcome

GRACE = 10.0
"""Seconds that the first process has to notice that a follower has failed."""


@dataclass(frozen=True)
class Place:
    """One process's place among those that train a trial."""

    rank: int = 0
    size: int = 1
    meeting: str = ""
    """The file through which they find each other."""

    def stream(self, name: str) -> str:
        """The name of this process's own stream of random numbers; the first has the trial's."""
        return f"{name}/{self.rank}" if self.rank else name

    def arguments(self) -> dict[str, Any]:
        """What Lightning's Trainer has to know of it."""
        if self.size == 1:
            return {}
        return {"strategy": DDPStrategy(cluster_environment=_Surroundings(self)), "devices": self.size}

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """Within the body the processes can speak with each other."""
        if self.size == 1:
            yield
            return
        cuda = device.type == "cuda"
        distributed.init_process_group(
            "nccl" if cuda else "gloo",
            init_method=f"file://{self.meeting}",
            rank=self.rank,
            world_size=self.size,
            device_id=device if cuda else None,
        )
        try:
            yield
        except BaseException as error:
            if self.rank and not isinstance(error, Stop):
                raise  # its process ends now, and its connections; taking them down could wait for the others
            # What the error's frames hold of the group (DDP's reducer does) has to go first: what takes
            # the group down with Python's lock held may wait for ever, since its threads ask for that lock.
            traceback.clear_frames(error.__traceback__)
            distributed.destroy_process_group()
            raise
        distributed.destroy_process_group()

    def gathered(self, value: Any) -> list[Any]:
        """What every process gives for `value`, by rank."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values


@dataclass
class Crew:
    """The first process's view of all of them."""

    place: Place = field(default_factory=Place)
    failure: Outcome | None = None
    """What a follower's error amounts to."""
    failed: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def outcome_of(self, error: BaseException) -> Outcome:
        """A follower's failure, which the first process would only notice as a broken connection."""
        if self.place.size > 1 and self.failed.wait(1.0) and self.failure is not None:
            return self.failure
        return outcome_of(error)

    def watch(self, pipes: list[connection.Connection]) -> None:
        """Wait for the followers' last words."""
        waiting = list(pipes)
        while waiting:
            for pipe in connection.wait(waiting):
                waiting.remove(pipe)  # type: ignore[arg-type]
                self._hear(pipe)  # type: ignore[arg-type]

    def _hear(self, pipe: connection.Connection) -> None:
        try:
            self.failure = pipe.recv()
        except (EOFError, OSError):
            if not self.over.is_set():
                os._exit(1)  # the executor hears of a lost worker, and tries again
            return
        if self.failure is not None:
            self.failed.set()
            if not self.over.wait(GRACE):
                os._exit(1)  # waiting for ever for what will not come


@contextmanager
def crew(size: int, directory: Path, follow: Callable[[Place], None]) -> Iterator[Crew]:
    """Within the body so many processes are there; `follow`, which pickles, is what the others run."""
    if size == 1:
        yield Crew()
        return
    meeting = directory.absolute() / paths.STATE / "meeting"
    meeting.parent.mkdir(exist_ok=True)
    meeting.unlink(missing_ok=True)  # a killed attempt's
    made = Crew(Place(0, size, str(meeting)))
    started = [_start(follow, Place(rank, size, str(meeting))) for rank in range(1, size)]
    watch = threading.Thread(target=made.watch, args=([pipe for _, pipe in started],), daemon=True)
    watch.start()
    try:
        yield made
    finally:
        made.over.set()
        for process, _ in started:
            process.kill()
            process.join()
        watch.join()
        for _, pipe in started:
            pipe.close()
        meeting.unlink(missing_ok=True)


def _start(follow: Callable[[Place], None], place: Place) -> tuple[BaseProcess, connection.Connection]:
    # Not forked: the first process may have run threads and tensor operations already.
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_run, args=(follow, place, theirs), name=f"seqsweep-rank-{place.rank}")
    process.start()
    theirs.close()  # so that its end closes with the process
    return process, ours


def _run(follow: Callable[[Place], None], place: Place, pipe: connection.Connection) -> None:
    """Body of a follower's process."""
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        follow(place)
    except Exception as error:
        pipe.send(outcome_of(error))
        os._exit(1)
    pipe.send(None)


def _end_with_the_first() -> None:
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)


class Silent(MemoryTracker):
    """A follower's tracker: the first process records."""

    def log_metrics(self, metrics: Mapping[str, SupportsFloat], step: int) -> None:
        """Forget them."""


class _Surroundings(ClusterEnvironment):
    """Tells Lightning that the processes are there already, on this machine, and connected."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "localhost"

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._place.rank

    def node_rank(self) -> int:
        return 0
