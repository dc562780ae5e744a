"""``hydra.launcher.workers_per_device: auto``: as many workers on a device as its memory is seen to allow."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from seqsweep.protocol import Slot

MARGIN = 0.9
"""The share of a device's memory that is planned for."""


def fitting(size: int, peak: int) -> int:
    """Workers that fit a device of `size` bytes if each takes `peak`; one always does."""
    return max(1, int(MARGIN * size) // peak)


@dataclass
class Packing:
    """Opens slots as it is learned what jobs take of their devices' memory; closes none.

    There are no more slots than `cores`, and than `most`.
    """

    cores: int
    most: int | None = None
    _peak: int = 0
    _sizes: dict[tuple[str, ...], int] = field(default_factory=dict)

    def learn(self, devices: tuple[str, ...], peak: int, size: int) -> None:
        """A job has taken `peak` of the `size` bytes of one of its devices; 0 and 0 if it used none."""
        if peak and size:
            self._peak = max(self._peak, peak)
            self._sizes[devices] = size

    def open(self, slots: Sequence[Slot]) -> list[Slot]:
        """`slots` and those to add, dealt round the devices known, the cores divided anew."""
        opened = list(slots)
        while room := self._room(opened):
            emptiest = max(room, key=room.__getitem__)
            opened.append(dataclasses.replace(opened[0], id=len(opened), devices=emptiest))
        threads = max(opened[0].processes, self.cores // len(opened))
        return [dataclasses.replace(slot, threads=threads) for slot in opened]

    def _room(self, slots: Sequence[Slot]) -> dict[tuple[str, ...], int]:
        """How many more slots each device can take, where it can."""
        if len(slots) >= min(self.cores, self.most or self.cores):
            return {}
        taken = Counter(slot.devices for slot in slots)
        room = {devices: fitting(size, self._peak) - taken[devices] for devices, size in self._sizes.items()}
        return {devices: left for devices, left in room.items() if left > 0}
