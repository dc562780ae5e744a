"""The seats of slots: jobs of one stack take them one after the other and begin together."""

from __future__ import annotations

from dataclasses import replace

from seqsweep.protocol import Job, Slot


class Seats:
    """Jobs that have a seat and have not begun, by slot."""

    def __init__(self) -> None:
        self._taken: dict[int, tuple[Slot, list[Job]]] = {}

    def take(self, job: Job, slot: Slot, busy: bool) -> bool:
        """Give `job` a seat of `slot`, on which something runs if it is `busy`; whether none can join it.

        Raises ValueError if there is no seat for it.
        """
        there = self._taken.get(slot.id, (slot, []))[1]
        if busy or len(there) >= slot.seats:
            raise ValueError(f"slot {slot.id} has no free seat")
        if there and (job.stack is None or job.stack != there[0].stack):
            raise ValueError(f"slot {slot.id} has no free seat for a job of another stack")
        self._taken[slot.id] = slot, [*there, job]
        return job.stack is None or len(there) + 1 == slot.seats

    def waiting(self) -> list[Slot]:
        """Slots whose jobs have not begun."""
        return [slot for slot, _ in self._taken.values()]

    def begin(self, slot: Slot) -> tuple[Job, ...]:
        """The jobs on `slot`, which begin now; one that nothing has joined is run by its own entry."""
        jobs = self._taken.pop(slot.id)[1]
        return tuple(jobs) if len(jobs) > 1 else (replace(jobs[0], stack=None),)

    def clear(self) -> None:
        """Forget them all."""
        self._taken.clear()
