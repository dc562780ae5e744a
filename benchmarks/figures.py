"""The figures of the experiments: each trained for real, with its command, and compared with its bar.

    .venv/bin/python benchmarks/figures.py                    # all of them: hours
    .venv/bin/python benchmarks/figures.py jsb_lstm names     # some
    .venv/bin/python benchmarks/figures.py --seeds 1 names    # fewer seeds than the figure asks for
    .venv/bin/python benchmarks/figures.py --table            # what was measured so far

Runs ``seqsweep train experiment=NAME seed=0``, 1, ... in processes of their own, one
thread each, in a temporary folder, and puts test metrics and times into
benchmarks/results/figures/NAME.json. The data is where SEQSWEEP_DATA says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "figures"


@dataclass(frozen=True)
class Figure:
    """A number that is claimed: an experiment's metric, what it is to reach, and what others reached."""

    name: str
    metric: str
    bar: float | None
    """None: reported only."""
    better: str = "maximize"
    seeds: int = 3
    reference: str = ""
    beside: tuple[str, ...] = ()
    """Further test metrics to report."""

    def reached(self, value: float) -> bool | None:
        """Whether the bar is reached; None without one."""
        if self.bar is None:
            return None
        return value >= self.bar if self.better == "maximize" else value <= self.bar


FIGURES = [
    Figure("jsb_lstm", "test/nll", 8.45, "minimize", reference="8.45 (Bai et al. 2018)"),
    Figure("jsb_rnn", "test/nll", 8.75, "minimize", reference="8.91 (Bai et al. 2018)"),
    Figure("jsb_gru", "test/nll", 8.75, "minimize", reference="8.43 (Bai et al. 2018)"),
    Figure("scan_simple", "test/exact_match", 0.99, seeds=1, reference="0.998 (Lake & Baroni 2018)"),
    Figure("scan_jump", "test/exact_match", 0.1, "minimize", 1, reference="0.012 (Lake & Baroni 2018)"),
    Figure("scan_turn_left", "test/exact_match", 0.85, seeds=1, reference="0.903 (Lake & Baroni 2018)"),
    Figure("adding_lstm", "test/loss", 0.01, "minimize"),
    Figure("adding_gru", "test/loss", 0.01, "minimize"),
    Figure("adding_rnn", "test/loss", None, "minimize", reference="a constant has 1/6"),
    Figure(
        "cmapss_lstm",
        "test/rmse",
        16.1,
        "minimize",
        reference="16.14 (Zheng et al. 2017)",
        beside=("test/cmapss_score",),
    ),
    Figure("ewt_pos", "test/token_accuracy", 0.94),
    Figure("names", "test/accuracy", 0.82, beside=("test/macro_f1",)),
    Figure("spoken_digits", "test/accuracy", 0.97),
    Figure("spoken_digits_speakers", "test/accuracy", None),
    Figure("trec", "test/accuracy", 0.88),
    Figure("sst2", "test/accuracy", 0.78),
    Figure("etth1", "test/mse", 0.37, "minimize", beside=("test/linear_mse", "test/last_value_mse")),
    Figure("multi30k_attention", "test/bleu", None, seeds=1, reference="28.3 (bentrevett)"),
    Figure("multi30k_none", "test/bleu", None, seeds=1, reference="20.6 (bentrevett)"),
    Figure("mnist_rows", "test/accuracy", 0.98),
    Figure("wnut17", "test/span_f1", None, beside=("test/token_accuracy",)),
    Figure("tinyshakespeare", "test/bits_per_character", None, "minimize", seeds=1),
]  # fmt: skip


def measure(figure: Figure, seeds: int | None) -> dict[str, Any]:
    """Train it on each seed; the table's row."""
    runs = [train(figure, seed) for seed in range(seeds or figure.seeds)]
    values = [run["metrics"][figure.metric] for run in runs]
    mean = statistics.fmean(values)
    return asdict(figure) | {
        "command": f"seqsweep train experiment={figure.name}",
        "mean": mean,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "reached": figure.reached(mean),
        "seconds": statistics.median(run["seconds"] for run in runs),
        "runs": runs,
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()},
    }


def train(figure: Figure, seed: int) -> dict[str, Any]:
    """One run of the command, and what it said of itself."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        command = [sys.executable, "-m", "seqsweep", "train", f"experiment={figure.name}", f"seed={seed}"]
        command += [f"hydra.run.dir={folder}"]
        environment = os.environ | {"SEQSWEEP_HOME": home, "OMP_NUM_THREADS": "1"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        outcome = json.loads((folder / ".seqsweep" / "outcome.json").read_text())["outcome"]
    metrics = outcome["detail"]
    print(
        f"{figure.name} seed {seed}: {figure.metric} {metrics[figure.metric]:.4f} in {seconds:.0f} s",
        flush=True,
    )
    return {"seed": seed, "seconds": seconds, "metrics": metrics}


def table() -> None:
    """All that was measured so far."""
    print(f"{'experiment':<24}{'metric':<26}{'mean':>9}{'spread':>9}{'bar':>8}  {'reached':<8}{'seconds':>8}")
    for figure in FIGURES:
        path = RESULTS / f"{figure.name}.json"
        if not path.exists():
            continue
        row = json.loads(path.read_text())
        spread = "-" if row["spread"] is None else f"{row['spread']:.4f}"
        bar = "-" if row["bar"] is None else f"{row['bar']:g}"
        reached = {True: "yes", False: "no", None: "-"}[row["reached"]]
        print(
            f"{row['name']:<24}{row['metric']:<26}{row['mean']:>9.4f}{spread:>9}{bar:>8}  "
            f"{reached:<8}{row['seconds']:>8.0f}"
        )


def main() -> None:
    """Measure the figures that were named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = {figure.name: figure for figure in FIGURES}
    parser.add_argument("names", nargs="*", choices=[*known, []], help="experiments; all without any")
    parser.add_argument("--seeds", type=int, help="seeds a figure, in place of its own number")
    parser.add_argument("--table", action="store_true", help="print what was measured so far")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not arguments.table:
        for name in arguments.names or known:
            row = measure(known[name], arguments.seeds)
            (RESULTS / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
    table()


if __name__ == "__main__":
    main()
