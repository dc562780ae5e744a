"""Served: a stored run as MLflow's python_function, asked again and again in one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqsweep.data.corpus import Corpus
from seqsweep.errors import ConfigError, DataError, UsageError
from seqsweep.serving.kinds import form_for
from seqsweep.training import stored
from seqsweep.training.stored_config import stored_config
from seqsweep.training.trust import ALLOW as TRUST

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from pandas import DataFrame

    from seqsweep.training.stored import Stored

ALLOW = "SEQSWEEP_ALLOW"
"""Names the classes, with commas between them, that a model's configuration may name beside our own."""


class Served:
    """What `mlflow.pyfunc.load_model` wraps.

    Its files are looked at as those of any stored run are: the configuration may name our own
    classes only (and those in the variable SEQSWEEP_ALLOW), of the checkpoint only tensors are
    read. Requests are answered one at a time.
    """

    def __init__(self, run: Stored) -> None:
        data = run.data()
        if isinstance(data, Corpus) and not run.fitted:
            raise ConfigError("data.json: does not say what the run had learnt from its data")
        self.form = form_for(data)
        self._ready = run.ready(data)
        self._defaults = {name: one.default for name, one in self.form.parameters(run.config["task"]).items()}
        self._lock = threading.Lock()

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> DataFrame | np.ndarray:
        """The answer to a request. Raises MLflow's exception for a request that is wrong: a server's 400."""
        from mlflow.exceptions import MlflowException

        try:
            return self._answer(model_input, {**self._defaults, **(params or {})})
        except UsageError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _answer(self, given: Any, parameters: Mapping[str, Any]) -> DataFrame | np.ndarray:
        if len(given) == 0:
            raise DataError("request: holds no rows")
        with self._lock:
            records, examples = self.form.examples(given)
            self.form.set(self._ready.task, parameters)
            return self.form.answer(records, self._ready(examples))


def load(directory: Path) -> Served:
    """The run whose ``config.yaml``, ``data.json`` and ``best.ckpt`` are in `directory`.

    Raises:
        ConfigError: the configuration is none of ours, names a class that is not allowed, or
            does not fit the checkpoint.

    """
    allowed = [name for name in os.environ.get(ALLOW, "").split(",") if name]
    # the machine that serves may lack the device that trained
    anywhere = ["trainer.accelerator=auto"] if "accelerator" in stored_config(directory)["trainer"] else []
    try:
        return Served(stored.read(directory, anywhere, allowed=allowed, threads=1))
    except ConfigError as error:
        hint = f"; for a server the variable {ALLOW} names such classes" if TRUST in str(error) else ""
        raise ConfigError(f"{error}{hint}") from error
