"""Data: batches cut from memory, data modules, and the corpora they hold.

Importing this imports torch and lightning; what only a corpus needs (scikit-learn)
is imported when that corpus is prepared.
"""

from __future__ import annotations

from seqsweep.data.batch import Batch, Examples
from seqsweep.data.batches import Batches, Order
from seqsweep.data.digits import Digits
from seqsweep.data.mnist import MnistRows
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.data.scan import Scan
from seqsweep.data.vocabulary import Vocabulary

__all__ = [
    "Batch",
    "Batches",
    "Digits",
    "Examples",
    "MnistRows",
    "Order",
    "Scan",
    "SequenceData",
    "Splits",
    "Vocabulary",
    "prepared",
]
