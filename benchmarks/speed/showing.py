"""The tables: on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from speed.measuring import Row, Skipped

Cells = list[str]
TITLES = {
    "single": "One run, each step's loss tracked in MLflow",
    "compiled": "One run, its steps compiled",
    "logging": "Logging",
    "sweep": "A sweep, two workers",
    "start": "Start",
    "growth": "Growth",
    "gru": "A GRU, one thread",
    "stack": "Trials trained as one, one thread",
    "limits": "Trials trained as one, where it gains least",
    "study": "A study of stacks",
}
WIDE = 160
"""Columns of a table that goes to a file."""
HEAD = ("what", "unit", "medians", "ratio", "from, to", "bar", "")


def machine(device: str) -> dict[str, Any]:
    """What it was measured on."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "lightning", "mlflow", "optuna", "hydra-core")},
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def cells(row: Row | Skipped | dict[str, Any]) -> Cells:
    """A row as text."""
    if isinstance(row, Skipped):
        return [row.what, "", f"skipped: {row.why}", "", "", "", ""]
    told = row if isinstance(row, dict) else row.plain()
    if "skipped" in told:
        return [told["what"], "", f"skipped: {told['skipped']}", "", "", "", ""]
    medians = ", ".join(f"{name} {number(value)}" for name, value in told["medians"].items())
    verdict = {True: "met", False: "missed", None: ""}[told["met"]]
    ratio = f"{told['ratio']}: {number(told['figure'])}" if told["ratio"] else number(told["figure"])
    spread = f"{number(told['smallest'])}, {number(told['largest'])}"
    return [told["what"], told["unit"], medians, ratio, spread, told["bar"] or "", verdict]


def show(part: str, rows: Sequence[Row | Skipped]) -> None:
    """One part's table on the terminal."""
    table = Table(*HEAD, title=TITLES[part], title_justify="left")
    for row in rows:
        made = cells(row)
        colour = {"met": "green", "missed": "red"}.get(made[-1], "default")
        table.add_row(*made[:-1], f"[{colour}]{made[-1]}[/]")
    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table)


def keep(folder: Path, device: str, part: str, rows: Sequence[Row | Skipped], repeats: int) -> None:
    """Put a part's rows in the place of those from last time, with the machine's name."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("speed.json" if device == "cpu" else f"speed_{device}.json")
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known[part] = {
        "machine": machine(device),
        "repeats": repeats,
        "rows": [
            {"what": row.what, "skipped": row.why} if isinstance(row, Skipped) else row.plain()
            for row in rows
        ],
    }
    known = {name: known[name] for name in TITLES if name in known}
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    file.with_suffix(".md").write_text(markdown(known))


def markdown(known: dict[str, Any]) -> str:
    """All parts that have been measured."""
    lines = ["# Speed", "", "Written by `make bench`; what each part does stands in `benchmarks/speed/`.", ""]
    for part, told in known.items():
        on = told["machine"]
        place = on.get("gpu") or f"{on['processor']}, {on['cores']} cores"
        lines += [
            f"## {TITLES[part]}",
            "",
            f"{place}; torch {on['torch']}, medians of {told['repeats']}.",
            "",
        ]
        lines += [_line(HEAD), _line(["---"] * len(HEAD))]
        lines += [_line(cells(row)) for row in told["rows"]]
        notes = [f"- {row['what']}: {row['note']}" for row in told["rows"] if row.get("note")]
        lines += ["", *notes, ""] if notes else [""]
    return "\n".join(lines).rstrip() + "\n"


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(parts) + " |"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
