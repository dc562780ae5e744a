"""Running jobs: devices, slots and executors. Knows nothing of studies or training."""

from seqsweep.launching.devices import find_devices
from seqsweep.launching.local import LocalExecutor
from seqsweep.launching.packing import Packing
from seqsweep.launching.slots import make_slots
from seqsweep.launching.threads import ThreadExecutor

__all__ = ["LocalExecutor", "Packing", "ThreadExecutor", "find_devices", "make_slots"]
