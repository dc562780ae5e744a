"""Packing: a run's files put into a folder as an MLflow model."""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.serving.form import Array
from seqsweep.serving.kinds import form_for
from seqsweep.training import folder, stored, trust
from seqsweep.training.instantiation import instantiate
from seqsweep.training.stored_config import stored_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema

    from seqsweep.serving.form import Columns, Form
    from seqsweep.training.stored import Stored

LOADER = "seqsweep.serving"
FILES = (folder.CONFIG, folder.DATA, folder.BEST)
"""All that a model holds of its run."""
REQUIRED = (
    *("seqsweep", "mlflow", "torch", "lightning", "torchmetrics"),
    *("hydra-core", "numpy", "pandas", "pyarrow", "scipy"),
)
"""What a server of it installs, at the versions that are here."""


def pack(directory: Path, place: Path, model: Model, *, allowed: Sequence[str] = ()) -> None:
    """Write the model of the run in `directory` into the folder `place`, which is made.

    Args:
        directory: holds the run's files.
        place: must not be there yet.
        model: what MLflow knows of it.
        allowed: see `stored.read`.

    Raises:
        NoFormError: data of its kind cannot be asked for.
        ConfigError: as `stored.read` does.

    """
    from mlflow import pyfunc

    run = stored.read(directory, allowed=allowed)
    form = form_for(run.data())
    example = _example(form, run)
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
            signature=signature(form, run.config["task"]),
            input_example=example,
            pip_requirements=requirements(run.config),
        )


def signature(form: Form[Any], task: Mapping[str, Any]) -> ModelSignature:
    """What MLflow checks requests by and shows."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    settings = form.parameters(task)
    params = [ParamSpec(name, one.type, one.default) for name, one in settings.items()]
    parameters: Any = ParamSchema(params) if params else None
    return ModelSignature(_schema(form.inputs), _schema(form.outputs), parameters)


def requirements(config: Mapping[str, Any]) -> list[str]:
    """Pip's requirements, pinned to what is installed."""
    subword = config["data"].get("level") == "subword"
    names = [*REQUIRED, *(["tokenizers"] if subword else [])]
    return [f"{name}=={found}" for name in names if (found := _version(name))]


def named(directory: Path) -> list[str]:
    """The classes that the configuration in `directory` names."""
    config = stored_config(directory)
    return [str(name) for group in trust.BASES for name in _targets(config[group])]


def _targets(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "_target_")
    if isinstance(node, dict | list):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _targets(part)


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


def _example(form: Form[Any], run: Stored) -> Any:
    """Of the run's own data; None where its files are gone."""
    try:
        return form.example(instantiate("data", run.config["data"]))
    except Exception as error:  # whatever it is, the model is whole without one
        print(f"seqsweep: the model has no input example: {error}", file=sys.stderr)
        return None


def _version(name: str) -> str | None:
    """The one that is installed, as an index has it: without what says how it was built."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
