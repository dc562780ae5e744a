"""What the parent Run says of its study beside the counts: what is searched, how to use what was found."""

from __future__ import annotations

import copy
import hashlib
import json
import shlex
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from seqsweep import paths
from seqsweep.cli import ending
from seqsweep.errors import without_password
from seqsweep.reporting import wording
from seqsweep.reporting.leaderboard import leaderboard, varying
from seqsweep.tracking import StudyRecord
from seqsweep.tracking.provenance import command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optuna.distributions import BaseDistribution

    from seqsweep.cli.plan import Plan
    from seqsweep.reporting.leaderboard import Row
    from seqsweep.sweeping import Study

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as a Run's description, in Markdown."""
_SHOWN = 5


def study_record(plan: Plan, study: Study) -> StudyRecord:
    """What the parent Run begins with; the study file is written for it, into the study's folder."""
    parameters = plan.space.all_parameters()
    searched = {parameter.key: in_words(parameter.distribution) for parameter in parameters}
    metric, *others = plan.settings.metrics
    return StudyRecord(
        name=plan.settings.name,
        uid=study.uid,
        # A Run's parameters cannot be changed: of a study that is extended later, the tag has the new ranges.
        params=searched,
        tags={
            "seqsweep.searched": "; ".join(f"{key}: {words}" for key, words in searched.items()),
            "seqsweep.study_digest": _digest(plan.identity),
            "seqsweep.seed": str(study.seed),
        },
        directory=plan.folder,
        metric=f"best/{metric}",
        direction=plan.settings.directions[0],  # type: ignore[arg-type]  # checked by Plan
        searched=tuple(dict.fromkeys(each.key for each in parameters if not each.distribution.single())),
        others=tuple(f"best/{other}" for other in others),
        begun=study.begun,
        files=(_study_file(plan),),
    )


def in_words(distribution: BaseDistribution) -> str:
    """What is searched: ``rnn, lstm, gru`` or ``0.001 to 0.01, logarithmic``."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(wording.number, distribution.choices))
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = distribution.step if distribution.step not in (None, 1) else None
    ends = f"{wording.number(distribution.low)} to {wording.number(distribution.high)}"
    return f"{ends}{', logarithmic' if distribution.log else ''}{f', step {step}' if step else ''}"


def note(plan: Plan, study: Study, threads: int) -> str:
    """The description: how far the study is, its best trials, how to go on."""
    rows = leaderboard(study.optuna)
    name, best = plan.settings.name, study.best()
    told = [row for row in rows if row.state not in ("running", "waiting")]
    lines = [f"{len(told)} of {plan.budget.n_trials} trials.", "", *_table(rows, plan.settings.metrics), ""]
    commands = {
        "go on, or see the end again": command(),
        "the report": f"seqsweep report {name}",
        "these pages, with the table sorted": ending.look(plan.tracking["uri"], name),
        **({"train the best again": ending.commands(plan, threads)(best.params)} if best else {}),
    }
    lines += [f"- {what}: `{typed}`" for what, typed in commands.items()]
    return without_password("\n".join(lines))


def _table(rows: list[Row], metrics: tuple[str, ...]) -> list[str]:
    """The best complete trials."""
    best = [row for row in rows if row.state == "complete"][:_SHOWN]
    if not best:
        return ["None is complete yet."]
    names = varying(rows)
    short = wording.short_names(names)
    cells = [["trial", *metrics, *(short[name] for name in names)]]
    cells.append(["---"] * len(cells[0]))
    for row in best:
        params = (wording.number(row.params[name], 3) if name in row.params else "" for name in names)
        cells.append([str(row.trial), *map(wording.number, row.values), *params])
    return ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in cells]


def _study_file(plan: Plan) -> Path:
    """``study.yaml``: all that the study was composed of, under the command that was typed."""
    from omegaconf import OmegaConf, open_dict, read_write

    config = copy.copy(plan.application.config)
    with read_write(config), open_dict(config):
        overrides, hydra = config.hydra.overrides, config.pop("hydra")
    task: Any = OmegaConf.to_container(config, resolve=False)
    task["hydra"] = {
        part: OmegaConf.to_container(hydra[part], resolve=False) for part in ("launcher", "sweeper")
    }
    given = (each for each in (*overrides.hydra, *overrides.task) if not each.startswith("hydra.mode="))
    text = f"# {command()}\n# overrides: {shlex.join(given)}\n{OmegaConf.to_yaml(OmegaConf.create(task))}"
    file = plan.folder / paths.STATE / "study.yaml"
    content = without_password(text)
    if not file.is_file() or file.read_text(encoding="utf-8") != content:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return file


def _digest(identity: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
