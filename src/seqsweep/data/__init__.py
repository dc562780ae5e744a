"""Data: batches cut from memory, data modules, and the corpora they hold.

Importing this imports torch and lightning; what only a corpus needs (scikit-learn)
is imported when that corpus is prepared.
"""

from __future__ import annotations

from seqsweep.data.adding import Adding
from seqsweep.data.audio_classification import AudioClassification
from seqsweep.data.batch import Batch, Examples
from seqsweep.data.batches import Batches, Order
from seqsweep.data.cmapss import CMapss
from seqsweep.data.copying import CopyMemory
from seqsweep.data.csv_forecasting import CsvForecasting
from seqsweep.data.csv_sequences import CsvClassification, CsvRegression
from seqsweep.data.digits import Digits
from seqsweep.data.language_modelling import LanguageModelling
from seqsweep.data.mnist import MnistRows
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.piano_roll import PianoRoll
from seqsweep.data.prepared import prepared
from seqsweep.data.scan import Scan
from seqsweep.data.streams import Streams
from seqsweep.data.tagging import Tagging
from seqsweep.data.text_classification import TextClassification
from seqsweep.data.translation import Translation
from seqsweep.data.ts_classification import TsClassification
from seqsweep.data.vocabulary import Vocabulary

__all__ = [
    "Adding",
    "AudioClassification",
    "Batch",
    "Batches",
    "CMapss",
    "CopyMemory",
    "CsvClassification",
    "CsvForecasting",
    "CsvRegression",
    "Digits",
    "Examples",
    "LanguageModelling",
    "MnistRows",
    "Order",
    "PianoRoll",
    "Scan",
    "SequenceData",
    "Splits",
    "Streams",
    "Tagging",
    "TextClassification",
    "Translation",
    "TsClassification",
    "Vocabulary",
    "prepared",
]
