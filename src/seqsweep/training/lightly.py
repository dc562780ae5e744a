"""Imports torchmetrics, which lightning needs, without the second that it spends on scipy.signal.

All it wants of it is to give it a name that SciPy has dropped (``hamming``), since an
audio metric's package, srmrpy, asks for that. Nobody else does.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_NAME = "scipy.signal"


class _Instead(ModuleType):
    """Stands there meanwhile; for whoever asks for more than the one name it is scipy.signal."""

    hamming = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspect asks every module for its file
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


if not {"torchmetrics", _NAME} & sys.modules.keys() and find_spec("srmrpy") is None:
    instead = sys.modules[_NAME] = _Instead(_NAME)
    try:
        import torchmetrics  # noqa: F401
    finally:
        if sys.modules.get(_NAME) is instead:
            del sys.modules[_NAME]
