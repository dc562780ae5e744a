"""Keeping the record: what a run writes to, and the one writer into MLflow.

A run writes to a `Tracker`; in a study that is a `Spool`, a file in the run's
folder. The `Recorder`, a thread of the driver, drains the spools into MLflow.
"""

from seqsweep.tracking.base import STATES, Dataset, State, Tracker
from seqsweep.tracking.memory import MemoryTracker
from seqsweep.tracking.recorder import Recorder
from seqsweep.tracking.spool import Spool
from seqsweep.tracking.stores import check_store
from seqsweep.tracking.study_record import StudyRecord

__all__ = [
    "STATES",
    "Dataset",
    "MemoryTracker",
    "Recorder",
    "Spool",
    "State",
    "StudyRecord",
    "Tracker",
    "check_store",
]
