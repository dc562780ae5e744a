"""Models: networks built from a `DataSpec`; layers keep no state between calls.

A configuration names one of the classes below with ``_partial_: true`` and it is
built as ``model(spec)``. Dropout masks are drawn outside (`Model.draw_masks`), so
that `forward` is a pure function of parameters, batch and masks.
"""

from seqsweep.models.base import Model, SequenceBatch
from seqsweep.models.explicit import ExplicitGRU, ExplicitLSTM, ExplicitRNN
from seqsweep.models.recurrent import GRU, LSTM, RNN, RecurrentModel
from seqsweep.models.seq2seq import Seq2Seq

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ExplicitGRU",
    "ExplicitLSTM",
    "ExplicitRNN",
    "Model",
    "RecurrentModel",
    "Seq2Seq",
    "SequenceBatch",
]
