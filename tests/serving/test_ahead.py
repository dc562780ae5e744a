"""What MLflow does once a process is done ahead, silently, and not again when a model is saved."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import seqsweep.serving.ahead
import importlib_metadata
from mlflow.utils import requirements_utils

importlib_metadata.packages_distributions = None  # a call would fail
requirements_utils.warn_dependency_requirement_mismatches(["mlflow>=3", "torch<1"])
"""


def test_installed_packages_are_looked_through_once() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "torch" in done.stderr  # the one that does not match: so the comparison took place
    assert "mlflow>=3" not in done.stderr
