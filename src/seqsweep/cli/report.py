"""``seqsweep report``: what was best, what mattered, what failed, what to try next."""

from __future__ import annotations

import json
import re
import sys
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

from seqsweep import paths
from seqsweep.errors import first_line

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    import optuna

    from seqsweep.reporting.report import StudyReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = (
        "Works on every Optuna study, seqsweep's own or not. The page is one file that loads nothing; it is "
        "also an artifact of the study's Run in MLflow, if it has one."
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name, as in `seqsweep list`")
    parser.add_argument("--storage", metavar="URL", help="the Optuna store that the study is in")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Print the report and write its page.

    Raises:
        StudyError: there is no such study.
        StoreError: its store cannot be read, or the page not be written.
    """
    from seqsweep.reporting.finding import open_study
    from seqsweep.reporting.report import document, gather, print_report
    from seqsweep.reporting.report.page import write_page

    study = open_study(args.study, args.storage)
    report = gather(study)
    page = write_page(report, _folder(report))
    tracking = args.tracking_uri or study.user_attrs.get("seqsweep.tracking") or paths.tracking_uri()
    problem = log_page(study, page, tracking)
    if args.json:
        print(json.dumps(document(report, page), indent=2, allow_nan=False))
    else:
        from rich.console import Console

        print_report(report, Console())
        print(f"\nreport: {page}")
    if problem:
        print(f"seqsweep: {problem}", file=sys.stderr)
    if args.open:
        webbrowser.open(page.as_uri())
    return 0


def at_the_end(study: optuna.Study, folder: Path, tracking: str | None) -> None:
    """Write and log the page when a study's command ends; what goes wrong is said and changes nothing."""
    from seqsweep.reporting.report import gather
    from seqsweep.reporting.report.page import write_page

    try:
        page = write_page(gather(study), folder)
        problem = log_page(study, page, tracking) if tracking else None
        print(f"report: {page}")
    except Exception as error:  # whatever it is, the study itself is whole
        problem = f"no report was written: {type(error).__name__}: {error}"
    if problem:
        print(f"seqsweep: {problem}", file=sys.stderr)


def prepare() -> None:
    """Load what the page needs at the first of its figures, a fifth of a second; for when there is time."""
    with suppress(Exception):  # whoever needs it will say so
        import plotly.graph_objects as go

        go.Figure(go.Scatter())


def log_page(study: optuna.Study, page: Path, tracking: str) -> str | None:
    """Keep the page with the study's Run, if MLflow knows the study; what went wrong, if anything."""
    from seqsweep.tracking.stores import embedded_file

    uid = study.user_attrs.get("seqsweep.uid")
    file = embedded_file(tracking)
    if uid is None or (file is not None and not file.exists()):
        return None
    from seqsweep.reporting.links import keep_with_study

    try:
        keep_with_study(tracking, str(uid), page)
    except Exception as error:  # a store that is away has many ways to say so
        return f"the report is not in {tracking}: {first_line(error)}"
    return None


def _folder(report: StudyReport) -> Path:
    """The study's own folder; one for a study of another program, whose name may be anything."""
    if report.folder:
        return report.folder
    name = re.sub(r"[^\w.-]+", "_", report.name).lstrip(".")[:100]
    return paths.study_folder(name or "_")
