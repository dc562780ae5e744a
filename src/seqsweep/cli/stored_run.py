"""What ``evaluate``, ``predict`` and ``reproduce`` have in common: a run by its name, and its files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from seqsweep.reporting.runs import StoredRun
    from seqsweep.training.stored import Stored

RUN = "RUN is a Run's id, the beginning of one, STUDY/best or STUDY/NUMBER."
ALLOW = (
    "A stored configuration may name seqsweep's own classes only; 'security.allow=[my_pkg.Model]' admits "
    "another one."
)
EPILOG = f"{RUN} Overrides change the run's own configuration: data.root=DIR, model.beam_size=5. {ALLOW}"


def add_arguments(parser: argparse.ArgumentParser, epilog: str = EPILOG) -> None:
    """Declare the arguments that say which run, and how it is changed."""
    parser.epilog = epilog
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the run's configuration"
    )


def changes(overrides: Sequence[str]) -> list[str]:
    """The overrides that change what is computed; what is trusted does not."""
    return [override for override in overrides if override.partition("=")[0] != "security.allow"]


@contextmanager
def stored_run(args: argparse.Namespace) -> Iterator[tuple[StoredRun, Stored]]:
    """The run that ``args.run`` names, and what it is made of; its files are there within the body."""
    from seqsweep.loaded_run import opened
    from seqsweep.reporting.runs import find_trained, store_of

    found = find_trained(store_of(args.run, args.tracking_uri), args.run)
    with opened(found, args.overrides) as stored:
        yield found, stored


@contextmanager
def naming(found: StoredRun) -> Iterator[None]:
    """Within the body what is wrong with a configuration is said with the run whose it is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"run {found}: {error}") from error
