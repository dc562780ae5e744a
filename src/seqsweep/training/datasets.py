"""The data of a run as its record describes it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.data import SequenceData
from seqsweep.tracking import Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seqsweep.spec import DataSpec
    from seqsweep.training.building import Built

PARTS = ("train", "val", "test")
LOADING = ("batch_size", "eval_batch_size", "root", "seed")
"""Arguments of every data module that do not change what its examples are."""
MOST_FILES = 100
"""Names that are kept of a folder's files: MLflow takes a source of 65,535 characters at most."""
_DIGITS = 10
"""MLflow shows them beside the name."""


def datasets(built: Built) -> list[Dataset]:
    """The data set's parts, each with a digest of what it holds, its size and where it is from.

    Nothing is read for it: the digest of prepared data is stored with it. Of a data module that
    prepares nothing, the digest stands for its configuration.
    """
    data, config = built.data, built.config["data"]
    if not isinstance(data, SequenceData):
        return [_dataset(built, "train", _digest(config), {}, _code(config))]
    content: list[Any] = [origin.content for origin in data.origins] or [_options(config)]
    files = [file for origin in data.origins for file in origin.sources]
    source = _files(files) if files else _code(config)
    sizes = data.describe()
    return [
        _dataset(built, part, _digest([content, part]), {"examples": sizes[part]}, source)
        for part in PARTS
        if sizes[part]
    ]


def _dataset(
    built: Built,
    part: str,
    digest: str,
    profile: Mapping[str, Any],
    source: tuple[str, dict[str, Any]],
) -> Dataset:
    schema = {"mlflow_colspec": _columns(built.spec)}
    return Dataset(built.spec.name, digest, part, *source, profile=profile, schema=schema)


def _files(files: list[Path]) -> tuple[str, dict[str, Any]]:
    paths = sorted({str(file) for file in files})
    names = [Path(path).name for path in paths]
    return "local", {"uri": os.path.commonpath(paths), "files": names[:MOST_FILES], "count": len(names)}


def _code(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a program makes or knows how to find."""
    return "code", {"tags": {"mlflow.source.name": str(config["_target_"]), "made": "generated"}}


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in LOADING}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:_DIGITS]


def _columns(spec: DataSpec) -> list[dict[str, Any]]:
    """What an example is, in the form that MLflow shows as a table."""
    if spec.vocabulary_size is not None:
        step = f"token of {spec.vocabulary_size:,}"
    else:
        step = "number" if spec.input_size == 1 else f"{spec.input_size} numbers"
    each = "one a step" if spec.per_step or spec.begin_index is not None else "one a sequence"
    counted = "tokens" if spec.kind in ("seq2seq", "language_modelling") else "classes"
    target = f"one of {spec.output_size:,} {counted}" if not spec.target_names else "number"
    names = spec.target_names or ("target",)
    horizon = f", {spec.horizon} steps ahead" if spec.horizon else f", {each}"
    return [
        {"name": "inputs", "type": f"sequence, a step: {step}", "required": True},
        *({"name": name, "type": f"{target}{horizon}", "required": True} for name in names),
    ]
