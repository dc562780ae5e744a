"""``seqsweep register``: a recorded run's model as a version of a registered one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from seqsweep.cli import publishing, stored_run
from seqsweep.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse

EPILOG = (
    f"{stored_run.RUN} Its model is logged first, if that was not done when it ended. The command again "
    "makes no second version; another run under the same name does, and the alias moves. "
    f"{stored_run.ALLOW}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("run", metavar="RUN", help="the run whose best checkpoint it is")
    parser.add_argument("name", metavar="NAME", help="of the registered model; made if there is none")
    parser.add_argument(
        "--alias", default="best", metavar="ALIAS", help="what leads to the version (default: best)"
    )
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="security.allow=[CLASS]", help="classes that are trusted"
    )
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> int:
    """Register, and say what leads to the version.

    Raises UsageError for what cannot be registered, RecordError if the store does not take it.
    """
    name, alias = publishing.name("NAME", args.name), publishing.alias_name("--alias", args.alias)
    if wrong := stored_run.changes(args.overrides):
        raise UsageError(
            f"'{wrong[0]}': a run's model is registered as it is; `seqsweep train` makes another"
        )
    from seqsweep.reporting.runs import find_trained, store_of

    uri = store_of(args.run, args.tracking_uri)
    found = find_trained(uri, args.run)
    with found.files("config.yaml", "data.json", "best.ckpt") as directory:
        from seqsweep.serving.describing import describe
        from seqsweep.serving.publishing import publish
        from seqsweep.training.trust import allowed_by

        allowed, _ = allowed_by(args.overrides)
        try:
            described = partial(describe, directory, allowed=allowed)
            done = publish(uri, found.id, directory, described, register=name, alias=alias)
        except ConfigError as error:
            raise ConfigError(f"run {found}: {error}") from error
    print(f"run {found}: {done}")
    print(f"serve:  MLFLOW_TRACKING_URI={uri} mlflow models serve --env-manager local -m {done.uri} -p 5001")
    return 0
