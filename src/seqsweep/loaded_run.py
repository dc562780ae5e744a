"""``seqsweep.load_run``: a recorded run in Python."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep import checks
from seqsweep.errors import ConfigError, DataError, StudyError
from seqsweep.reporting.runs import StoredRun, check_trained, find_run, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    import pandas as pd

    from seqsweep.models import Model
    from seqsweep.training.stored import Stored


def load_run(name: str, *, tracking_uri: str | None = None, allow: Sequence[str] = ()) -> LoadedRun:
    """A recorded run.

        run = seqsweep.load_run("digits/best")
        run.metrics["test/accuracy"]
        run.history("val/loss").plot()
        run.model                               # the trained network, on the CPU
        run.predict("more.csv")

    Args:
        name: a Run's id, the beginning of one, ``STUDY/best`` or ``STUDY/12``.
        tracking_uri: MLflow's; without one where the run's study was recorded, else the usual.
        allow: full names of classes that its configuration may name beside seqsweep's own.

    Raises:
        StudyError: there is no such run, or there are several.
        StoreError: the store is not there or cannot be read.

    """
    return LoadedRun(find_run(store_of(name, tracking_uri), name), allow)


class LoadedRun:
    """A recorded run: its record, its network, its predictions; from `load_run`."""

    def __init__(self, run: StoredRun, allow: Sequence[str] = ()) -> None:
        self._run = run
        self._allow = tuple(allow)

    def __repr__(self) -> str:
        return f"LoadedRun('{self.id}', name='{self.name}', state='{self.state}')"

    @property
    def id(self) -> str:
        """MLflow's."""
        return self._run.id

    @property
    def name(self) -> str:
        """What it is called in MLflow."""
        return self._run.name

    @property
    def state(self) -> str:
        """complete, pruned, failed, infeasible or running."""
        return self._run.state

    @property
    def metrics(self) -> dict[str, float]:
        """Each metric's last value; ``best/...`` is that of the best validation."""
        return dict(self._run.metrics)

    @property
    def params(self) -> dict[str, str]:
        """What it was given, by dotted key, as MLflow has it: text."""
        return dict(self._run.params)

    @property
    def tags(self) -> dict[str, str]:
        """MLflow's tags: versions, commit, device and the like."""
        return dict(self._run.tags)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its resolved configuration. Raises StudyError if it has none, ConfigError if that is damaged."""
        from seqsweep.training.stored_config import stored_config

        check_trained(self._run, needs=["config.yaml"])
        with self._run.files("config.yaml") as directory:
            return stored_config(directory)

    def history(self, metric: str) -> pd.Series[float]:
        """One metric's values by optimiser step. Raises StudyError for one that was not logged."""
        import pandas as pd

        if metric not in self._run.metrics:
            near = checks.nearest(metric, self._run.metrics)
            raise StudyError(f"run {self._run} has no metric '{metric}'{near}")
        values = self._run.history(metric)
        steps = pd.Index(list(values), name="step", dtype="int64")
        return pd.Series(list(values.values()), index=steps, name=metric, dtype="float64")

    def to_pandas(self) -> pd.DataFrame:
        """All metrics by optimiser step, a column each, empty where one was not logged."""
        import pandas as pd

        series = [self.history(metric) for metric in sorted(self._run.metrics)]
        return pd.concat(series, axis=1).sort_index() if series else pd.DataFrame()

    @cached_property
    def model(self) -> Model:
        """The network with the weights of its best validation, ready to be used, on the CPU.

        Raises:
            StudyError: the run has no checkpoint.
            ConfigError: the checkpoint is damaged, or the configuration names what is not allowed.

        """
        with self._opened() as stored:
            model = stored.ready(stored.data()).task.model
            return model.cpu().eval()

    def predict(self, file: str | Path) -> list[Any]:
        """What it says of each example of a file in the format that it was trained on, as plain values.

        Raises:
            DataError: the file is malformed, or the run's data is not of the kind that is read from files.

        """
        path = Path(file).expanduser().absolute()
        if not path.exists():
            raise DataError(f"{file}: there is no such file")
        with self._opened() as stored:
            return stored.predict(path)[2]

    def _opened(self) -> AbstractContextManager[Stored]:
        check_trained(self._run)
        return opened(self._run, allow=self._allow)


@contextmanager
def opened(run: StoredRun, overrides: Sequence[str] = (), *, allow: Sequence[str] = ()) -> Iterator[Stored]:
    """What a run is made of; its files are there within the body."""
    from seqsweep.training import stored

    with run.files("config.yaml", "data.json", "best.ckpt") as directory:
        try:
            yield stored.read(directory, overrides, allowed=allow, threads=run.threads)
        except ConfigError as error:
            raise ConfigError(f"run {run}: {error}") from error
