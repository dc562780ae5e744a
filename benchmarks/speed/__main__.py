from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

from seqsweep import paths
from speed import samples, showing
from speed.measuring import OtherWorkError, Row, Settings, Skipped
from speed.works import SIZES

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    """Measure the parts that are asked for; 1 if one of them could not be."""
    asked = arguments()
    out = asked.out or (None if asked.quick else RESULTS)
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        missing = samples.make(paths.data_root(), folder / "data")
        settings = Settings(
            folder=folder,
            data=folder / "data",
            missing=frozenset(missing),
            repeats=1 if asked.quick else asked.repeats,
            device=asked.device,
            quick=asked.quick,
            sizes=tuple(asked.sizes),
        )
        for part in asked.only:
            try:
                rows = measured(part, settings)
            except (OtherWorkError, RuntimeError, ImportError) as error:
                print(f"{part}: {error}", file=sys.stderr, flush=True)
                failed.append(part)
                continue
            showing.show(part, rows)
            if out is not None:
                showing.keep(out, settings.device, part, rows, settings.repeats)
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measured(part: str, settings: Settings) -> list[Row | Skipped]:
    """A part's rows, each said on one line as soon as it is there."""
    began, rows = time.perf_counter(), []
    for row in importlib.import_module(f"speed.parts.{part}").measure(settings):
        rows.append(row)
        said = " · ".join(filter(None, showing.cells(row)))
        print(f"[{time.perf_counter() - began:4.0f} s] {part}: {said}", file=sys.stderr, flush=True)
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__import__("speed").__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--only", nargs="+", metavar="PART", choices=showing.TITLES, default=list(showing.TITLES)
    )
    parser.add_argument(
        "--sizes", nargs="+", choices=[size.name for size in SIZES], default=[], help="of single"
    )
    parser.add_argument("--repeats", type=_positive, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: small work, once, kept only with --out"
    )
    parser.add_argument("--out", type=Path, help="folder for speed.json and speed.md (benchmarks/results)")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected at least 1")
    return value


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    raise SystemExit(main())
