"""Deciding what to try next: search space, study, and the loop that hands trials out."""

from seqsweep.sweeping.lock import DriverLock
from seqsweep.sweeping.loop import Budget, Loop, Observer
from seqsweep.sweeping.space import SearchSpace
from seqsweep.sweeping.study import Study, StudySettings, connect

__all__ = ["Budget", "DriverLock", "Loop", "Observer", "SearchSpace", "Study", "StudySettings", "connect"]
