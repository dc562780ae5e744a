"""What MLflow does once in a process before it saves a model; it is done when this is imported.

It looks through all installed packages, which takes more than half a second, and a study's
driver has that while its workers begin, but not at the study's end.
"""

from __future__ import annotations

import mlflow.pyfunc.loaders  # noqa: F401
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

warn_dependency_requirement_mismatches(["mlflow"])
