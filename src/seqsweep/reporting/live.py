"""A study as it runs: one view that renews itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from seqsweep.reporting import wording
from seqsweep.reporting.leaderboard import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

_STATES = ("complete", "pruned", "infeasible", "failed")
_COLOURS = {
    "running": "cyan",
    "complete": "green",
    "pruned": "yellow",
    "infeasible": "magenta",
    "failed": "red",
}
_MOST_RUNNING = 16


@dataclass
class _Running:
    params: Mapping[str, Any]
    since: float
    value: float | None = None
    step: int | None = None


@dataclass
class Progress:
    """What is known of a study under way, and what follows from it."""

    n_trials: int
    maximize: bool
    counts: Counter[str] = field(default_factory=Counter)
    running: dict[int, _Running] = field(default_factory=dict)
    best: Row | None = None
    durations: list[float] = field(default_factory=list)
    """Seconds of the trials that ended while we watched."""

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return sum(self.counts.values())

    def end(self, row: Row) -> None:
        """A trial ended, now or before we watched."""
        self.counts[row.state] += 1
        if row.state == "complete" and row.value is not None and self._better(row.value):
            self.best = row

    def seconds_left(self, now: float) -> float | None:
        """What the trials still to run would take as the past ones did, as many at a time as now."""
        if not self.durations or not self.running:
            return None
        mean = sum(self.durations) / len(self.durations)
        under_way = sum(max(mean - (now - trial.since), 0.0) for trial in self.running.values())
        to_come = max(self.n_trials - self.done - len(self.running), 0)
        return (under_way + mean * to_come) / len(self.running)

    def _better(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self.best is None or self.best.value is None:
            return True
        return value > self.best.value if self.maximize else value < self.best.value


class LiveView:
    """Shows a study while its trials run; a context manager.

    On a terminal one view: done, running, pruned, failed, the best so far, time left.
    Where there is none, one line a finished trial and one at the end. `done` are the
    trials that had ended before. With several objectives the best is by the first one,
    whose `direction` it is. Its methods may be called from one thread.
    """

    def __init__(
        self,
        n_trials: int,
        direction: str,
        metrics: Sequence[str],
        console: Console | None = None,
        done: Iterable[Row] = (),
    ) -> None:
        self._console = console or Console()
        self._metrics = metrics
        self._progress = Progress(n_trials, direction == "maximize")
        for row in done:
            if row.state in _STATES:
                self._progress.end(row)
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        """Begin to show."""
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last word on the screen."""
        if self._live:
            self._live.stop()
            self._live = None
        else:
            self._line(self._summary())

    # ------------------------------------------------------------ what happens

    def started(self, trial: int, params: Mapping[str, Any]) -> None:
        """An attempt at a trial begins; one that begins anew replaces the earlier one."""
        with self._lock:
            self._progress.running[trial] = _Running(dict(params), time.monotonic())

    def report(self, trial: int, value: float, step: int) -> None:
        """A running trial's intermediate value."""
        with self._lock:
            if running := self._progress.running.get(trial):
                running.value, running.step = value, step

    def ended(self, trial: int, state: str, values: Sequence[float], seconds: float, text: str = "") -> None:
        """A trial is over, as complete, pruned, infeasible or failed; `text` says why it failed.

        `values` are those that are known: one an objective, a pruned trial's best, or none.
        """
        with self._lock:
            running = self._progress.running.pop(trial, None)
            params = dict(running.params) if running else {}
            row = Row(trial, state, next(iter(values), None), params, seconds, text, tuple(values))
            self._progress.durations.append(seconds)
            self._progress.end(row)
        if self._live is None:
            self._line(self._ended_line(row))
        elif text:
            self.message(f"trial {trial} {state}: {wording.first_line(text)}")

    def message(self, text: str) -> None:
        """Something a person should know of."""
        self._line(text)

    # ------------------------------------------------------------ how it looks

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _ended_line(self, row: Row) -> str:
        progress = self._progress
        parts = [
            f"trial {row.trial:>3} {row.state}",
            *(
                f"{metric} {wording.number(value)}"
                for metric, value in zip(self._metrics, row.values, strict=False)
            ),
            wording.duration(row.seconds or 0.0),
            wording.parameters(row.params),
            *([wording.first_line(row.text)] if row.text else []),
            f"[{progress.done}/{progress.n_trials}{self._left(', ')}]",
        ]
        return "  ".join(part for part in parts if part)

    def _summary(self) -> str:
        counts = self._progress.counts
        told = ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state]) or "none ended"
        took = wording.duration(time.monotonic() - self._began)
        return (
            f"{self._progress.done} of {self._progress.n_trials} trials in {took}: {told}{self._best('; ')}"
        )

    def _best(self, before: str) -> str:
        best = self._progress.best
        if best is None:
            return ""
        value = f"best {self._metrics[0]} {wording.number(best.value)} (trial {best.trial})"
        return f"{before}{value}  {wording.parameters(best.params)}".rstrip()

    def _left(self, before: str) -> str:
        left = self._progress.seconds_left(time.monotonic())
        return "" if left is None else f"{before}about {wording.duration(left)} left"

    def _render(self) -> Group:
        with self._lock:
            return Group(self._bar(), self._counts(), *self._best_line(), *self._running_lines())

    def _bar(self) -> Table:
        progress = self._progress
        elapsed = wording.duration(time.monotonic() - self._began)
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            Text(f"{progress.done} of {progress.n_trials} trials", style="bold"),
            ProgressBar(total=max(progress.n_trials, 1), completed=progress.done, width=24),
            f"{elapsed}{self._left(', ')}",
        )
        return grid

    def _counts(self) -> Text:
        counts = {"running": len(self._progress.running), **self._progress.counts}
        line = Text()
        for state, colour in _COLOURS.items():
            count = counts.get(state, 0)
            if count or state != "infeasible":
                line.append(f"{state} {count}   ", style=colour if count else "dim")
        return line

    def _best_line(self) -> list[Text]:
        text = self._best("")
        return [Text(text, style="bold", overflow="ellipsis", no_wrap=True)] if text else []

    def _running_lines(self) -> list[Text]:
        now = time.monotonic()
        lines = []
        for number, trial in sorted(self._progress.running.items())[:_MOST_RUNNING]:
            value = "" if trial.value is None else f"{wording.number(trial.value)} at step {trial.step}"
            begun = wording.duration(now - trial.since)
            line = f"trial {number:>3}  {begun:>7}  {value:<20}  {wording.parameters(trial.params)}"
            lines.append(Text(line, style="dim", overflow="ellipsis", no_wrap=True))
        if (more := len(self._progress.running) - len(lines)) > 0:
            lines.append(Text(f"and {more} more", style="dim"))
        return lines
