"""What ``evaluate`` and ``predict`` have in common: a run by its name, made again from its files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from seqsweep.reporting.runs import StoredRun
    from seqsweep.training.stored import Stored

EPILOG = (
    "RUN is a Run's id, the beginning of one, STUDY/best or STUDY/NUMBER. Overrides change the run's own "
    "configuration: data.root=DIR, model.beam_size=5. A stored configuration may name seqsweep's own classes "
    "only; --allow admits another one."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say which run, and how it is changed."""
    parser.epilog = EPILOG
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes of the run's configuration"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="TARGET",
        help="the full name of a class to be trusted",
    )


@contextmanager
def stored_run(args: argparse.Namespace) -> Iterator[tuple[StoredRun, Stored]]:
    """The run that ``args.run`` names, and what it is made of; its files are there within the body."""
    from seqsweep.reporting.runs import find_trained

    found = find_trained(paths.tracking_uri(), args.run)
    with found.files("config.yaml", "data.json", "best.ckpt") as directory:
        from seqsweep.training import stored

        threads = found.tags.get("seqsweep.threads", "1")
        try:
            yield (
                found,
                stored.read(directory, args.overrides, allowed=args.allow, threads=int(threads)),
            )
        except ConfigError as error:
            raise ConfigError(f"run {found}: {error}") from error
