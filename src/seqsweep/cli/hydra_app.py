"""``seqsweep train`` and ``seqsweep sweep``: our own task as a Hydra application.

Hydra composes, sets up folders and logging, and runs or sweeps. What differs
from a script under ``@hydra.main``: a wrong configuration is one message and
exit status 2, and is found before any folder is made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seqsweep.errors import SeqsweepError, UsageError
from seqsweep.paths import shipped, sweeps

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

TRAIN_HELP = """usage: seqsweep train [-m] [--config-name STUDY] [--config-dir DIR] [key=value ...]

One training run, recorded in MLflow. A plain Hydra application: key=value sets a
key of the configuration, group=option chooses another option.

{groups}
examples:
  seqsweep train model=lstm data=digits optimizer.lr=3e-3
  seqsweep train -m model=rnn,lstm,gru          a grid, in parallel
  seqsweep train experiment=scan_simple
  seqsweep train --cfg job model=lstm           print the configuration, train nothing
  seqsweep train --hydra-help                   Hydra's own flags
"""

SWEEP_HELP = """usage: seqsweep sweep NAME [--dry-run] [--config-dir DIR] [key=value ...]

Runs the study NAME, or goes on with it: the same command again resumes it.

  NAME          a file in sweeps/ here, in --config-dir, or of ours: {studies}
  --dry-run     compose and print five trials, train nothing
  key=value     fixes a key, or with a sweep expression searches it:
                optimizer.lr='tag(log, interval(1e-4, 1e-2))'
                the study's own keys are hydra.sweeper.n_trials=50 and so on

Same as: seqsweep train --multirun --config-name NAME
"""


def sweep(arguments: Sequence[str]) -> int:
    """``seqsweep sweep NAME ...`` is ``seqsweep train --multirun --config-name NAME ...``."""
    if not arguments or {"-h", "--help"} & set(arguments):
        studies = sorted({path.stem for folder in sweeps() for path in folder.glob("*.yaml")})
        print(SWEEP_HELP.format(studies=", ".join(studies)))
        return 0 if arguments else 2
    name, *rest = arguments
    if name.startswith("-") or "=" in name:
        raise UsageError(f"seqsweep sweep {name}: expected the study's name first: seqsweep sweep NAME")
    if "--dry-run" in rest:
        rest.remove("--dry-run")
        rest.append("+hydra.sweeper.dry_run=true")
    return train(["--multirun", "--config-name", name, *rest], study=True)


def train(arguments: Sequence[str], *, study: bool = False) -> int:
    """One run, or with ``-m`` many; Hydra's other flags are Hydra's. A `study` has our sweeper."""
    if {"-h", "--help"} & set(arguments):
        print(TRAIN_HELP.format(groups=_groups()))
        return 0
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    args = parser.parse_args(list(arguments))
    config_name = args.config_name or "train"
    if args.cfg or args.info or args.hydra_help or args.shell_completion:
        if args.cfg:
            with _hydra(args.config_dir) as hydra:
                _compose(hydra, config_name, args.overrides)
        return _leave_to_hydra(args, parser)
    with _hydra(args.config_dir, study) as hydra:
        if args.multirun:
            return _multirun(hydra, config_name, args.overrides)
        return _run(hydra, config_name, args.overrides)


def task(config: DictConfig) -> float | None:
    """The task function: one run in Hydra's folder. Its value is the best of the task's metric."""
    from seqsweep.cli import single

    return single.run(single.build(config))


# What tells our sweeper that trials of this function are plain jobs of ours.
task.seqsweep_native = True  # type: ignore[attr-defined]


def _compose(hydra: Hydra, config_name: str, overrides: list[str]) -> DictConfig:
    from hydra.types import RunMode

    return hydra.compose_config(
        config_name=config_name,
        overrides=overrides,
        run_mode=RunMode.RUN,
        with_log_configuration=False,
    )


def _run(hydra: Hydra, config_name: str, overrides: list[str]) -> int:
    from seqsweep.cli import single

    config = _compose(hydra, config_name, overrides)
    built = single.build(config)  # anything wrong is said here, before Hydra makes the run's folder
    failed: list[SeqsweepError] = []

    def run_built(_: DictConfig) -> float | None:
        try:
            return single.run(built)
        except SeqsweepError as error:  # kept from Hydra, which would add words of its own
            failed.append(error)
            return None

    hydra.run(config_name=config_name, task_function=run_built, overrides=[*overrides, "hydra.mode=RUN"])
    if failed:
        raise failed[0]
    return 0


def _multirun(hydra: Hydra, config_name: str, overrides: list[str]) -> int:
    results: Any = hydra.multirun(
        config_name=config_name, task_function=task, overrides=[*overrides, "hydra.mode=MULTIRUN"]
    )
    if isinstance(results, list):  # Hydra's own sweeper: the jobs' returns, batch by batch
        failed = [job for batch in results for job in batch if job.status.name == "FAILED"]
        for job in failed:
            print(f"seqsweep: {' '.join(job.overrides)}: {job._return_value}", file=sys.stderr)
        return 1 if failed else 0
    return 0


@contextmanager
def _hydra(config_dir: str | None, study: bool = False) -> Iterator[Hydra]:
    """Hydra on our configuration; its own errors come out as ours."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra

    from seqsweep.cli.hydra_errors import explained, user_folder
    from seqsweep.cli.study_hydra import StudyHydra

    search_path = create_config_search_path(str(shipped("conf")))
    if config_dir is not None:
        search_path.prepend(provider="command-line", path=f"file://{user_folder(config_dir)}")
    kind = StudyHydra if study else Hydra
    hydra = kind.create_main_hydra2(task_name="seqsweep", config_search_path=search_path)
    try:
        with explained(hydra.config_loader):
            yield hydra
    finally:
        GlobalHydra.instance().clear()


def _leave_to_hydra(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from hydra._internal.utils import _run_hydra

    _run_hydra(args, parser, task, str(shipped("conf")), "train")
    return 0


def _groups() -> str:
    lines = []
    for folder in sorted(path for path in shipped("conf").iterdir() if path.is_dir()):
        options = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        lines.append(f"  {folder.name:<12}{options}\n")
    return "".join(lines)
