"""Addresses inside MLflow's own UI, which routes by what follows the ``#``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRAINING = "workflowType=machine_learning"
"""Without it MLflow shows the pages in its frame for language model applications."""


def view_key(study_uid: str) -> str:
    """The name under which a study's table view is kept in its experiment."""
    return f"seqsweep-{study_uid}"


def view_tag(study_uid: str) -> str:
    """The experiment tag that holds the view."""
    return f"mlflow.sharedViewState.{view_key(study_uid)}"


def view_state(
    parent: str, metric: str | None, direction: str, params: Sequence[str], others: Sequence[str] = ()
) -> str:
    """A table of the study's trials, best first, with values and searched parameters as columns."""
    chosen = [f"metrics.`{name}`" for name in (metric, *others) if name]
    state: dict[str, Any] = {
        "searchFilter": _children(parent),
        "orderByKey": chosen[0] if metric else "attributes.start_time",
        "orderByAsc": bool(metric) and direction == "minimize",
        "selectedColumns": [*chosen, *(f"params.`{name}`" for name in params), "tags.`seqsweep.state`"],
        "runsExpanded": {},
    }
    return json.dumps(state)


def study_table(base: str, experiment: str, study_uid: str) -> str:
    """The table of a study's runs as `view_state` describes it."""
    return f"{_runs(base, experiment)}?{_TRAINING}&viewStateShareKey={quote(view_key(study_uid))}"


def comparison(base: str, experiment: str, runs: Sequence[str]) -> str:
    """Runs side by side: parameters and last metrics, plotted against each other."""
    return f"{base}/#/compare-runs?runs={_encoded(runs)}&experiments={_encoded([experiment])}&{_TRAINING}"


def curves(base: str, experiment: str, runs: Sequence[str], metric: str) -> str:
    """One metric of several runs over the steps, in one chart."""
    shown = f"runs={_encoded(runs)}&metric={_encoded(metric)}&experiments={_encoded([experiment])}"
    plotted = f"plot_metric_keys={_encoded([metric])}&plot_layout={_encoded({})}&x_axis=step"
    return f"{base}/#/metric?{shown}&{plotted}&{_TRAINING}"


def run_page(base: str, experiment: str, run: str) -> str:
    """One run."""
    return f"{_runs(base, experiment)}/{run}?{_TRAINING}"


def _runs(base: str, experiment: str) -> str:
    return f"{base}/#/experiments/{experiment}/runs"


def _children(parent: str) -> str:
    return f"tags.mlflow.parentRunId = '{parent}'"


def _encoded(value: object) -> str:
    return quote(json.dumps(value, separators=(",", ":")), safe="")
