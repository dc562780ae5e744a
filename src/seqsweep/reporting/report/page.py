"""The report as one HTML file that loads nothing: the figures lie in it as data, plotly.js beside them.

Whatever comes out of the data is escaped. A policy in the page allows the two scripts
in it, by their digests, and nothing else, so that what was escaped wrongly would not run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from seqsweep.errors import StoreError
from seqsweep.reporting.report.figures import about, values_of
from seqsweep.reporting.report.sections import sections

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from seqsweep.reporting.report.gathering import StudyReport

NAME = "report.html"


def write_page(report: StudyReport, folder: Path) -> Path:
    """Write the page into `folder`, at once or not at all. Raises StoreError if that cannot be."""
    text = render(report)
    target = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".report-", delete=False) as file:
            file.write(text.encode("utf-8", "replace"))
        part = Path(file.name)
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror})") from None
    return target


def render(report: StudyReport) -> str:
    """The whole page."""
    from plotly.offline import get_plotlyjs

    figures: list[go.Figure] = []
    body = "\n".join(sections(report, figures))
    scripts = {"plotly": get_plotlyjs(), "script": _resource("page.js")}
    # A browser reads a carriage return as a line feed, and takes the digest of that.
    scripts = {name: script.replace("\r\n", "\n").replace("\r", "\n") for name, script in scripts.items()}
    return Template(_resource("page.html")).substitute(
        policy=_policy(scripts.values()),
        title=html.escape(f"{report.name} - study report"),
        style=_resource("page.css"),
        body=body,
        data=_data(report, figures),
        **scripts,
    )


def _policy(scripts: Any) -> str:
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(report: StudyReport, figures: list[go.Figure]) -> str:
    """The figures as JSON in which no character could end the script it stands in.

    What a trial says under the pointer is there once, not once a figure.
    """
    plain = [json.loads(figure.to_json(), parse_float=_short) for figure in figures]
    names = report.searched[:10]
    trials = {row.trial: about(row, report.metrics, names) for row in report.rows if values_of(row)}
    text = json.dumps({"figures": plain, "trials": trials}, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _short(number: str) -> float:
    """Seven digits are more than a figure shows."""
    return float(f"{float(number):.7g}")


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
