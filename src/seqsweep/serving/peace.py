"""Peace: MLflow packing a model without a word, or a look, at what is as it should be."""

from __future__ import annotations

import importlib
import logging
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TALKERS = ("mlflow.pyfunc", "mlflow.models.model")


@contextmanager
def at_peace() -> Iterator[None]:
    """Within the body MLflow notes warnings only, and takes no uv project that it stands in for ours.

    Nor does it compare what the model requires with what is installed: we have taken the one from the
    other, and for that it looks through all packages there are, half a second.
    """
    environment: Any = importlib.import_module("mlflow.utils.environment")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    compare = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda *_: None
    talkers = [logging.getLogger(name) for name in TALKERS]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # MLflow 3.17 about type hints of its own, and on pandas 3
            warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
            warnings.filterwarnings("ignore", "Operation with range is deprecated", DeprecationWarning)
            yield
    finally:
        environment.warn_dependency_requirement_mismatches = compare
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)
