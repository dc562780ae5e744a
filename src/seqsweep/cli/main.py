"""``seqsweep COMMAND``: reads the command and hands over; imports nothing heavy itself."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from seqsweep import __version__, paths
from seqsweep.errors import SeqsweepError
from seqsweep.leaving import leave_at_once

HYDRA_COMMANDS = {
    "train": "one training run; a plain Hydra application (-m for a grid)",
    "sweep": "run the study sweeps/NAME.yaml, or go on with it",
}
COMMANDS = {
    "list": ("seqsweep.cli.listing", "the studies here, with their progress and best value"),
    "rm": ("seqsweep.cli.rm", "remove a study from all stores, after asking"),
    "report": ("seqsweep.cli.report", "what was best, what mattered, what failed; as a page, too"),
    "ui": ("seqsweep.cli.ui", "MLflow's UI on the store, with links into a study"),
    "evaluate": ("seqsweep.cli.evaluate", "test a stored run's best checkpoint, on its own data or on other"),
    "predict": ("seqsweep.cli.predict", "a stored run's predictions for a file of yours"),
    "reproduce": ("seqsweep.cli.reproduce", "train a stored run again; are its metrics the same?"),
    "register": ("seqsweep.cli.register", "a stored run's model under a name, for MLflow to serve"),
    "data": ("seqsweep.cli.data", "the named data sets: where each is; download one"),
    "doctor": ("seqsweep.cli.doctor", "versions, devices, stores; what is wrong and how to mend it"),
}

READ_RUNS = ("ui", "evaluate", "predict", "reproduce", "report", "register", "rm", "doctor")
"""Commands that look into the tracking store."""


def command() -> NoReturn:
    """What a shell runs: `main`, and an end without delay."""
    status = 1  # of an error that nobody has foreseen
    leave_at_once(lambda: status)
    try:
        status = main()
    except SystemExit as leaving:  # argparse's
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        raise
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()  # here, where it is known what to do if nobody reads it
        return status
    except SeqsweepError as error:
        print(f"seqsweep: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("seqsweep: interrupted", file=sys.stderr)
        return 130


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in HYDRA_COMMANDS:
        # Everything after the command is Hydra's own grammar, which argparse must not read.
        from seqsweep.cli import hydra_app

        run = hydra_app.train if arguments[0] == "train" else hydra_app.sweep
        return run(arguments[1:])
    command, parsed = _parse(arguments)
    with paths.tracking_at(getattr(parsed, "tracking_uri", None)):
        return int(importlib.import_module(COMMANDS[command][0]).run(parsed))


def _parse(arguments: list[str]) -> tuple[str, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="seqsweep",
        description="Train, sweep and compare sequence models.",
        epilog="seqsweep COMMAND --help says more of each. Stores are kept in the working directory, "
        "or under SEQSWEEP_HOME.",
    )
    parser.add_argument("--version", action="version", version=f"seqsweep {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in HYDRA_COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    for name, (module, summary) in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary)
        # Only the command that was typed is imported, to keep --help fast.
        if name in arguments[:1]:
            importlib.import_module(module).add_arguments(subparser)
            if name in READ_RUNS:
                subparser.add_argument(
                    "--tracking-uri", metavar="URI", help="the tracking store (default: MLFLOW_TRACKING_URI)"
                )
    parsed, rest = parser.parse_known_args(arguments)
    if rest:
        # argparse takes all of a command's overrides at one place only; ours may stand behind an option
        if not hasattr(parsed, "overrides") or any(word.startswith("-") for word in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        parsed.overrides += rest
    return str(parsed.command), parsed
