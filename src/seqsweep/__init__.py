"""seqsweep: train, sweep and compare sequence models."""

from seqsweep.current import report
from seqsweep.errors import TrialPruned

__version__ = "0.1.0"

__all__ = ["TrialPruned", "__version__", "report"]
