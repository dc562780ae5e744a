"""The files of a run's folder, each replaced as a whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import traceback
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import yaml
from omegaconf._utils import get_omega_conf_dumper
from yaml.representer import SafeRepresenter

from seqsweep import paths
from seqsweep.protocol import Complete, Outcome, Pruned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

CONFIG = "config.yaml"
DATA = "data.json"
PICTURES = "pictures"
BEST = "best.ckpt"
LAST = "last.ckpt"
ERROR = "error.txt"
OUTCOME = f"{paths.STATE}/outcome.json"
"""How the run ended, if it need not be run again: for a driver that was killed before it heard."""

TRAINING = ("callbacks", "optimizer_states", "lr_schedulers")
"""The parts of a checkpoint that only going on with the training needs."""

RUN = ("seed", "data", "model", "task", "optimizer", "scheduler", "trainer")
"""The groups of the configuration that decide a run's result."""


@contextmanager
def replacing(path: Path, *, before: Path | None = None) -> Iterator[Path]:
    """A place to write to, which becomes `path` when the body is through; a kill leaves `path` as it was.

    The same file becomes `before` as well, if that is given, and does so first.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # left by a kill: it may be a file that stands, by another name
    try:
        yield part
        if before is not None:
            with replacing(before) as other:
                _link(part, other)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, path)  # noqa: PTH105 - both are in one folder


def _link(file: Path, other: Path) -> None:
    try:
        other.hardlink_to(file)
    except OSError:  # a file system without
        shutil.copyfile(file, other)


def keep_weights(path: Path) -> None:
    """Take out of a checkpoint what only going on with the training needs, which is most of it."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    kept = {key: value for key, value in checkpoint.items() if key not in TRAINING}
    if len(kept) < len(checkpoint):
        with replacing(path) as part:
            torch.save(kept, part)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes YAML as OmegaConf does, which quotes text that it would read as a number; ten times as fast."""

    yaml_representers: ClassVar[dict[type, Any]] = {
        **get_omega_conf_dumper().yaml_representers,
        tuple: SafeRepresenter.represent_list,
    }

    def ignore_aliases(self, data: object) -> bool:
        """What stands in two places is written twice."""
        return True


def write_config(directory: Path, config: Mapping[str, Any]) -> Path:
    """Write the resolved configuration."""
    path = directory / CONFIG
    with replacing(path) as part:
        part.write_text(
            yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    return path


def write_data(directory: Path, learnt: Mapping[str, Any]) -> Path:
    """Write what was learnt from the data, which is needed to use the run on other data."""
    path = directory / DATA
    with replacing(path) as part:
        part.write_text(json.dumps(learnt, ensure_ascii=False), encoding="utf-8")
    return path


def write_picture(directory: Path, name: str, figure: Figure) -> Path:
    """Write a figure as an image."""
    path = directory / PICTURES / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=200, bbox_inches="tight")
    return path


def write_samples(directory: Path, samples: Sequence[Mapping[str, str]]) -> Path:
    """Write texts by column as a table, which MLflow shows as one."""
    path = directory / PICTURES / "samples.csv"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, samples[0].keys())
        writer.writeheader()
        writer.writerows(samples)
    return path


def write_error(directory: Path, error: BaseException) -> Path:
    """Write the error with its traceback."""
    path = directory / ERROR
    with replacing(path) as part:
        part.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return path


def same_run(config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations have the same result."""
    return all(config.get(group) == other.get(group) for group in RUN)


def write_outcome(directory: Path, outcome: Outcome, config: Mapping[str, Any]) -> None:
    """Put down an outcome that another attempt would only repeat; a failure may be mended."""
    if not isinstance(outcome, Complete | Pruned):
        return
    path = directory / OUTCOME
    path.parent.mkdir(exist_ok=True)
    kept = {"kind": type(outcome).__name__, "outcome": asdict(outcome), "config": dict(config)}
    with replacing(path) as part:
        part.write_text(json.dumps(kept), encoding="utf-8")


def read_outcome(directory: Path, config: Mapping[str, Any]) -> Outcome | None:
    """What `write_outcome` put down for a run of this configuration, if anything."""
    try:
        kept = json.loads((directory / OUTCOME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not same_run(kept["config"], config):
        return None
    if kept["kind"] == "Pruned":
        return Pruned(**kept["outcome"])
    return Complete(tuple(kept["outcome"]["values"]), kept["outcome"]["detail"])
