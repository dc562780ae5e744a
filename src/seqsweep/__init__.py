"""seqsweep: train, sweep and compare sequence models."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqsweep.current import report
from seqsweep.errors import TrialPruned

if TYPE_CHECKING:
    from seqsweep.loaded_run import load_run
    from seqsweep.loaded_study import load_study
    from seqsweep.report_callback import ReportCallback

__version__ = "0.1.0"

__all__ = ["ReportCallback", "TrialPruned", "__version__", "load_run", "load_study", "report"]

_LATER = {
    "ReportCallback": "seqsweep.report_callback",
    "load_run": "seqsweep.loaded_run",
    "load_study": "seqsweep.loaded_study",
}
"""Names whose modules import more than the standard library: they are imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
