"""Stored: a recorded run made again from its files, to be tested or asked for predictions.

The files may come from anywhere, so nothing in them is trusted: the configuration may name our own
classes and no others (unless the user allows one by name), and of a checkpoint only tensors are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from seqsweep import checks
from seqsweep.data import Batches, SequenceData
from seqsweep.data.corpus import Corpus
from seqsweep.errors import ConfigError, DataError
from seqsweep.spec import DataSpec
from seqsweep.tasks import Task
from seqsweep.training import folder, seeding
from seqsweep.training.arguments import make_trainer
from seqsweep.training.building import Built
from seqsweep.training.instantiation import complete, instantiate
from seqsweep.training.quiet import quiet
from seqsweep.training.running import load_checkpoint, measured
from seqsweep.training.stored_config import TESTING, read_config, stored_data

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import Trainer

    from seqsweep.data import Examples
    from seqsweep.data.records import Records

SHAPE = (
    "kind",
    "input_size",
    "vocabulary_size",
    "character_vocabulary_size",
    "output_size",
    "class_names",
    "per_step",
    "target_names",
    "horizon",
)
"""What data must have in common with what a run was trained on."""


@dataclass(frozen=True)
class Stored:
    """A recorded run: its configuration, what its data had taught, and where its checkpoint is."""

    config: dict[str, Any]
    fitted: Mapping[str, Any]
    spec: Mapping[str, Any]
    """Of the data it was trained on; empty where an older version did not keep it."""
    checkpoint: Path

    def test(self) -> dict[str, float]:
        """Metrics of the test part at its checkpoint; nothing is written.

        Raises:
            ConfigError: the configuration is wrong, or does not fit the checkpoint.
            DataError: the test data is missing, malformed, or of another shape.

        """
        data = self.data()
        data.setup()
        self._check_shape(data.spec)
        built = self._built(data, data.spec)
        with self._surroundings():
            load_checkpoint(built.task, self.checkpoint)
            return measured(built, self._trainer())

    def predict(self, path: Path) -> tuple[Corpus[Any], Records, list[Any]]:
        """The data module, the file's records and what the run says of each.

        Raises:
            ConfigError: the configuration is wrong, or does not fit the checkpoint.
            DataError: the file is malformed, or the run's data is not of the kind that is read from files.

        """
        data = self.data()
        if not isinstance(data, Corpus):
            raise DataError(
                f"the run was trained on {type(data).__name__}, which is not read from a file of one's own: "
                "there is nothing to predict for"
            )
        records, examples = data.unlabelled(path)
        return data, records, self.ready(data)(examples)

    def ready(self, data: SequenceData) -> Ready:
        """Its task at its checkpoint, to be asked of examples that `data`, its own data module, made.

        Raises:
            ConfigError: the configuration is wrong, or does not fit the checkpoint.

        """
        spec = data.describe_to_models(data.fitted) if isinstance(data, Corpus) else _known(self.spec)
        built = self._built(data, spec)
        with self._surroundings():
            load_checkpoint(built.task, self.checkpoint)
            return Ready(built.task, data.eval_batch_size, self._trainer(), self._surroundings)

    def data(self) -> SequenceData:
        """Its data module, which takes what the run had learnt from its training part."""
        data: SequenceData = instantiate("data", self.config["data"])
        if self.fitted:
            data.use(self.fitted)
            if isinstance(data, Corpus):
                self._check_shape(_described(data))
        return data

    def _built(self, data: SequenceData, spec: DataSpec) -> Built:
        model = complete("model", instantiate("model", self.config["model"], supplied=1), spec)
        task = complete("task", instantiate("task", self.config["task"], supplied=4), model, spec, None, None)
        return Built(data, spec, model, task, {}, self.config)

    def _check_shape(self, spec: DataSpec) -> None:
        for name in SHAPE:
            found, known = getattr(spec, name), self.spec.get(name)
            found = list(found) if isinstance(found, tuple) else found
            if name in self.spec and found != known:
                raise DataError(
                    f"the data does not fit the run: its {name} is {_short(found)}, and the run was trained "
                    f"on {_short(known)}"
                )

    def _trainer(self) -> Trainer:
        node = self.config["trainer"]
        own = {name: node[name] for name in TESTING if name in node}
        # one device: a second process would run this command once more
        return make_trainer(own, devices=1, enable_progress_bar=False, enable_model_summary=False)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """Threads, generators and Lightning's manners, as they were when the run was tested."""
        if self.config.get("threads") is not None:
            torch.set_num_threads(checks.positive_int("threads", self.config["threads"]))
        seed = checks.int_at_least(0, "seed", self.config.get("seed"))
        with quiet(), seeding.isolated(seed, "other"):
            yield


@dataclass(frozen=True)
class Ready:
    """A stored run's task at its checkpoint."""

    task: Task
    batch_size: int
    trainer: Trainer
    surroundings: Callable[[], AbstractContextManager[None]]

    def __call__(self, examples: Examples) -> list[Any]:
        """What the task says of each example, in order: of the same ones always the same."""
        self.task.generator = None  # what it draws begins anew
        with self.surroundings():
            return _predictions(self.task, examples, self.batch_size, self.trainer)


def read(
    directory: Path, overrides: Sequence[str] = (), *, allowed: Sequence[str] = (), threads: int | None = None
) -> Stored:
    """The run whose ``config.yaml``, ``data.json`` and ``best.ckpt`` are in `directory`.

    Args:
        directory: holds the files; ``data.json`` may be missing.
        overrides: ``key=value`` each, for keys that the configuration has; ``security.allow=[...]`` too.
        allowed: full names of classes that the configuration may name beside our own.
        threads: of the processor, where the configuration does not say.

    Raises:
        ConfigError: the configuration is none of ours, an override does not fit it, or it names a class
            that is not allowed.

    """
    config = read_config(directory, overrides, allowed=allowed)
    if config.get("threads") is None:
        config["threads"] = threads
    known = stored_data(directory)
    return Stored(config, known.get("fitted") or {}, known.get("spec") or {}, directory / folder.BEST)


# ---------------------------------------------------------------- predictions


def _predictions(task: Task, examples: Examples, batch_size: int, trainer: Trainer) -> list[Any]:
    """What the task says of each example, in order."""
    device = trainer.strategy.root_device
    task.to(device).eval()
    found: list[Any] = []
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        for batch in Batches(examples, batch_size):
            found += task.predictions(batch.to(device))
    return found


def _known(spec: Mapping[str, Any]) -> DataSpec:
    """What ``data.json`` says of the data. Raises ConfigError if it says nothing, or what cannot be."""
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()
    }
    try:
        return DataSpec(**plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data.json: not what is known of a run's data ({error})") from error


def _described(data: Corpus[Any]) -> DataSpec:
    """What the data module makes of what it was given. Raises ConfigError if it can make nothing of it."""
    try:
        return data.describe_to_models(data.fitted)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"data.json: not what {type(data).__name__} had learnt ({type(error).__name__}: {error})"
        ) from error


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
