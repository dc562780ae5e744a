"""``seqsweep doctor``: what is here, what is wrong, and how to mend it. Imports no torch."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from urllib.request import urlopen

from seqsweep import paths
from seqsweep.catalogue import SETS
from seqsweep.errors import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

PACKAGES = (
    "seqsweep",
    "torch",
    "lightning",
    "hydra-core",
    "omegaconf",
    "optuna",
    "mlflow",
    "numpy",
    "scikit-learn",
)
MALICIOUS = {("lightning", "2.6.2"), ("lightning", "2.6.3")}
"""Releases that were taken over; never to be installed."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; with `mend` it is wrong."""

    section: str
    subject: str
    detail: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = "The exit status is 1 if something is wrong."
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def run(args: argparse.Namespace) -> int:
    """Look at everything; 1 if something is wrong."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (_versions, _devices, _stores, _data)
    findings = [finding for check in checks for finding in check()]
    wrong = [finding for finding in findings if finding.mend]
    if args.json:
        print(json.dumps({"ok": not wrong, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _print(findings, wrong)
    return 1 if wrong else 0


def _print(findings: list[Finding], wrong: list[Finding]) -> None:
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            print(section)
        print(f"  {'!' if finding.mend else ' '} {finding.subject:<13} {finding.detail}")
    if not wrong:
        print("nothing is wrong")
        return
    print("to mend")
    for finding in wrong:
        print(f"  {finding.subject}: {finding.mend}")


# ---------------------------------------------------------------- versions


def _versions() -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    mend = "" if supported else "seqsweep runs on Python 3.11 to 3.13 (Hydra's command line breaks on 3.14)"
    yield Finding("versions", "python", f"{platform.python_version()} ({sys.executable})", mend)
    wanted = _wanted()
    for package in PACKAGES:
        yield _package(package, wanted.get(package, ""))


def _package(package: str, wanted: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        if package == "seqsweep":  # run from a checkout
            return Finding("versions", package, "not installed; run from its source")
        return Finding("versions", package, "missing", f"pip install '{package}{wanted}'")
    if (package, version) in MALICIOUS:
        mend = (
            f"this release was malware: pip install '{package}{wanted}' and treat this machine as compromised"
        )
        return Finding("versions", package, version, mend)
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    return Finding("versions", package, version, "" if fits else f"pip install '{package}{wanted}'")


def _wanted() -> dict[str, str]:
    """The version ranges that seqsweep's own metadata asks for; nothing if it is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("seqsweep") or []
    except metadata.PackageNotFoundError:
        return {}
    requirements = [Requirement(line) for line in lines]
    return {one.name: str(one.specifier) for one in requirements if one.marker is None}


# ---------------------------------------------------------------- devices


def _devices() -> Iterator[Finding]:
    from seqsweep.launching.devices import count_cores, find_devices

    yield Finding("devices", "cores", str(count_cores()))
    yield Finding("devices", "memory", _memory())
    for line in _gpus():
        yield Finding("devices", "gpu", line)
    visible = ", ".join(find_devices()) or "none: trials run on the processor's cores"
    yield Finding("devices", "used", visible)


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    except (OSError, ValueError):  # not told on every system
        return "unknown"
    return f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB free"


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index,name,memory.total,memory.used,driver_version", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return [f"nvidia-smi does not answer: {error}"]
    return listed.stdout.splitlines()


# ---------------------------------------------------------------- stores


def _stores() -> Iterator[Finding]:
    yield _tracking()
    yield _artifacts()
    yield _studies()
    yield from _leftovers()


def _tracking() -> Finding:
    from seqsweep.tracking.stores import check_store, embedded_file, is_server

    uri = paths.tracking_uri()
    if is_server(uri):
        return _server(uri)
    file = embedded_file(uri)
    try:
        check_store(uri, paths.artifacts())
    except StoreError as error:
        return Finding("stores", "tracking", uri, str(error))
    if file is None:
        return Finding("stores", "tracking", f"{uri} (not looked into)")
    if not file.exists() or not file.stat().st_size:
        return Finding("stores", "tracking", f"{file} (not made yet)")
    ((runs,),) = _ask(file, "SELECT COUNT(*) FROM runs WHERE lifecycle_stage = 'active'")
    return Finding("stores", "tracking", f"{file}, {runs} runs")


def _server(uri: str) -> Finding:
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=5):  # noqa: S310 - an http address, checked before
            return Finding("stores", "tracking", f"{uri} answers")
    except OSError as error:
        mend = f"{uri} does not answer ({error}): start it, or unset MLFLOW_TRACKING_URI for a store here"
        return Finding("stores", "tracking", uri, mend)


def _artifacts() -> Finding:
    from seqsweep.tracking.stores import check_folder

    folder = paths.artifacts()
    try:
        check_folder(folder)
    except StoreError as error:
        return Finding("stores", "artifacts", str(folder), str(error))
    return Finding("stores", "artifacts", f"{folder}{'' if folder.is_dir() else ' (not made yet)'}")


def _studies() -> Finding:
    from seqsweep.reporting.studies import studies

    file = paths.home() / "optuna.db"
    if not file.exists():
        return Finding("stores", "studies", f"{file} (not made yet)")
    try:
        found = studies(paths.study_storage())
    except StoreError as error:
        return Finding("stores", "studies", str(file), f"{error}; move it away, or `optuna storage upgrade`")
    if not os.access(file, os.W_OK):
        return Finding("stores", "studies", str(file), f"{file} cannot be written to; change its permissions")
    return Finding("stores", "studies", f"{file}, {len(found)} studies")


def _leftovers() -> Iterator[Finding]:
    from seqsweep.tracking.stores import leftover_file_store

    for folder in dict.fromkeys((Path.cwd(), paths.home())):
        if place := leftover_file_store(folder):
            mend = f"MLflow's old file store, which a bare `mlflow ui` there refuses: mv {place} {place}.old"
            yield Finding("stores", "leftover", str(place), mend)


def _ask(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=20)) as store:
        return store.execute(query).fetchall()


# ---------------------------------------------------------------- data


def _data() -> Iterator[Finding]:
    root = paths.data_root()
    yield Finding("data", "root", f"{root}{'' if root.is_dir() else ' (not there)'}")
    yield Finding("data", "digits", "comes with scikit-learn")
    absent = 0
    for name, known in SETS.items():
        missing = known.missing(root)
        if len(missing) == len(known.files):
            absent += 1
        else:
            yield Finding("data", name, f"lacks {', '.join(missing)}" if missing else str(root / name))
    if absent:
        yield Finding("data", "others", f"{absent} named sets are not there: seqsweep data list")
