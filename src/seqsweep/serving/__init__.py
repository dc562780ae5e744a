"""Serving: a run's best checkpoint as an MLflow model, preprocessing included.

A model is MLflow's python_function with this module for its loader, and three files of the run
for its data: ``config.yaml``, ``data.json`` and ``best.ckpt``. Nothing in it is pickled, and
nothing in it is trusted (see `seqsweep.training.stored`). `seqsweep.serving.form` says what its
requests and answers look like.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqsweep.serving.served import Served

__all__ = ["_load_pyfunc"]


def _load_pyfunc(data_path: str) -> Served:
    """MLflow's way in. Raises ConfigError as `seqsweep.serving.served.load` does."""
    from seqsweep.serving.served import load

    return load(Path(data_path))
