"""Tasks: the learning problems, each a LightningModule with a pure loss.

A configuration names one of the classes below with ``_partial_: true`` and it is
built as ``task(model, spec, optimizer, scheduler)``.
"""

from seqsweep.tasks.base import Task
from seqsweep.tasks.classification import Classification
from seqsweep.tasks.forecasting import Forecasting
from seqsweep.tasks.language_modelling import LanguageModelling
from seqsweep.tasks.music import Music
from seqsweep.tasks.regression import Regression, RemainingUsefulLife
from seqsweep.tasks.schedules import WarmUp
from seqsweep.tasks.seq2seq import Seq2Seq
from seqsweep.tasks.tagging import Tagging
from seqsweep.tasks.translation import Translation

__all__ = [
    "Classification",
    "Forecasting",
    "LanguageModelling",
    "Music",
    "Regression",
    "RemainingUsefulLife",
    "Seq2Seq",
    "Tagging",
    "Task",
    "Translation",
    "WarmUp",
]
