"""Tasks: the learning problems, each a LightningModule with a pure loss.

A configuration names one of the classes below with ``_partial_: true`` and it is
built as ``task(model, spec, optimizer, scheduler)``.
"""

from seqsweep.tasks.base import Task
from seqsweep.tasks.classification import Classification
from seqsweep.tasks.schedules import WarmUp
from seqsweep.tasks.seq2seq import Seq2Seq

__all__ = ["Classification", "Seq2Seq", "Task", "WarmUp"]
