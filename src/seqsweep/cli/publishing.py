"""What becomes of a run's model at its end: logged, and registered where that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from seqsweep import paths
from seqsweep.errors import ConfigError, RecordError, SeqsweepError, UsageError, first_line
from seqsweep.protocol import Complete, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seqsweep.cli.plan import Plan
    from seqsweep.cli.trials import Trials
    from seqsweep.protocol import Executor
    from seqsweep.serving.description import Description
    from seqsweep.serving.publishing import Published
    from seqsweep.sweeping import Study

PUBLISHED = "seqsweep.model"
"""The study's attribute that says which trial's model was logged, and as what."""


@dataclass(frozen=True)
class Wish:
    """What ``tracking`` says of models."""

    log: bool
    register: str | None
    alias: str

    @classmethod
    def of(cls, tracking: Mapping[str, Any]) -> Wish:
        """Read and checked. Raises ConfigError; a configuration without these keys wishes for nothing."""
        log = tracking.get("log_model", False)
        register, alias = tracking.get("register"), tracking.get("alias", "best")
        if not isinstance(log, bool):
            raise ConfigError(f"tracking.log_model={log}: expected true or false")
        if register is None:
            return cls(log, None, str(alias))
        if not log:
            raise ConfigError(
                f"tracking.register={register}: expected null with tracking.log_model=false, which logs none"
            )
        return cls(log, name("tracking.register", register), alias_name("tracking.alias", alias))

    def publish(self, uri: str, run_id: str, folder: Path, describe: Callable[[], Description]) -> Published:
        """See `seqsweep.serving.publishing.publish`."""
        from seqsweep.serving.publishing import publish

        return publish(uri, run_id, folder, describe, register=self.register, alias=self.alias)

    def check(self, uri: str) -> None:
        """Whether the store can do what is wished for. Raises StoreError."""
        from seqsweep.tracking.stores import is_server

        if self.register is not None and is_server(uri):  # every database has a registry
            from seqsweep.tracking.mlflow_store import check_registry

            check_registry(uri)


def name(key: str, value: object) -> str:
    """`value`, if a registered model can be called so. Raises ConfigError."""
    text = str(value)
    if not text.strip() or re.search(r"[/:'\"]|^\.+$", text) or len(text) > 250:
        raise ConfigError(
            f"{key}={value}: expected a name of up to 250 characters, without '/', ':' and quotes"
        )
    return text


def alias_name(key: str, value: object) -> str:
    """`value`, if MLflow takes it for an alias. Raises ConfigError."""
    text = str(value)
    if not re.fullmatch(r"[\w-]{1,255}", text) or re.fullmatch(r"latest|v\d+", text, re.IGNORECASE):
        raise ConfigError(
            f"{key}={value}: expected letters, digits, '-' and '_', and neither 'latest' nor 'v' and a number"
        )
    return text


def publish_single(wish: Wish, uri: str, run_id: str | None, folder: Path) -> str | None:
    """Log the model of a run in this process; what to say of it, None where none is wished for.

    Raises RecordError if the store does not take it, and whatever is in the way of one that was to be
    registered.
    """
    if not wish.log or run_id is None:
        return None
    from seqsweep.serving.describing import describe

    try:
        return str(wish.publish(uri, run_id, folder, partial(describe, folder, trusted=True)))
    except UsageError as error:
        if wish.register is not None:
            raise
        return f"none ({error})"  # the run itself is whole


def publish_best(plan: Plan, study: Study, trials: Trials, executor: Executor) -> RecordError | None:
    """Log the model of a study's best trial; what went wrong, if something did.

    A worker, where torch is, reads the trial's files; what MLflow has to do is done here, where that is.
    """
    wish, best = Wish.of(plan.tracking), study.best()
    if best is None or is_published(plan, study):
        return None
    from seqsweep.tracking.draining import Place

    folder, uri = plan.folder / str(best.number), plan.tracking["uri"] or paths.tracking_uri()

    def describe() -> Description:
        outcome = trials.describe(executor, best, folder)
        if isinstance(outcome, Complete):
            described: Description = outcome.detail
            return described
        text = outcome.text if isinstance(outcome, Failed) else str(outcome)
        raise (UsageError if isinstance(outcome, Failed) and outcome.usage else SeqsweepError)(text)

    try:
        said = str(wish.publish(uri, str(Place.load(folder).run_id), folder, describe))
    except UsageError as error:
        if wish.register is not None:
            return RecordError(str(error))
        said = f"none ({error})"  # the study itself is whole
    except SeqsweepError as error:
        return RecordError(str(error))
    except Exception as error:  # so it is whatever MLflow makes of it
        kind = type(error).__name__
        return RecordError(f"trial {best.number} has no model: {kind}: {first_line(error)}")
    print(f"model of trial {best.number}: {said}")
    study.optuna.set_user_attr(PUBLISHED, _published(wish, best.number))
    return None


def is_published(plan: Plan, study: Study) -> bool:
    """Whether nothing is left to be done about the best trial's model."""
    wish, best = Wish.of(plan.tracking), study.best()
    if best is None or not wish.log:
        return True
    return bool(study.optuna.user_attrs.get(PUBLISHED) == _published(wish, best.number))


def _published(wish: Wish, trial: int) -> dict[str, Any]:
    return {"trial": trial, "register": wish.register, "alias": wish.alias}
