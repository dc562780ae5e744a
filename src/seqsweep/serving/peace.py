"""Peace: MLflow packing a model without a word on what is as it should be."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TALKERS = ("mlflow.pyfunc", "mlflow.models.model")


@contextmanager
def at_peace() -> Iterator[None]:
    """Within the body MLflow notes warnings only, and takes no uv project that it stands in for ours."""
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
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
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)
