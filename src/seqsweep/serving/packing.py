"""Packing: a run's files put into a folder as an MLflow model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.serving.description import FILES, Array

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema

    from seqsweep.serving.description import Columns, Description

LOADER = "seqsweep.serving"


def pack(directory: Path, place: Path, model: Model, described: Description) -> None:
    """Write the model of the run in `directory` into the folder `place`, which is made.

    Args:
        directory: holds the run's files.
        place: must not be there yet.
        model: what MLflow knows of it.
        described: from `seqsweep.serving.describing.describe`.

    """
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory(prefix="seqsweep-") as beside:
        data = Path(beside) / "run"
        data.mkdir()
        for name in FILES:
            shutil.copy(directory / name, data)
        pyfunc.save_model(
            place,
            loader_module=LOADER,
            data_path=str(data),
            mlflow_model=model,
            signature=_signature(described),
            input_example=described.example,
            pip_requirements=list(described.requirements),
        )


def _signature(described: Description) -> ModelSignature:
    """What MLflow checks requests by and shows."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    params = [ParamSpec(name, one.type, one.default) for name, one in described.parameters.items()]
    parameters: Any = ParamSchema(params) if params else None
    return ModelSignature(_schema(described.inputs), _schema(described.outputs), parameters)


def _schema(said: Columns | Array) -> Schema:
    import numpy as np
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType
    from mlflow.types.schema import Array as ArrayType

    if isinstance(said, Array):
        return Schema([TensorSpec(np.dtype(np.float64), said.shape)])
    special: dict[str, Any] = {
        "any": AnyType(),  # type: ignore[no-untyped-call]
        "strings": ArrayType(DataType.string),
    }
    return Schema([ColSpec(special.get(kind, kind), name) for name, kind in said.items()])
