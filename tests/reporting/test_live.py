from __future__ import annotations

import io
import math

from rich.console import Console

from seqsweep.reporting.leaderboard import Row
from seqsweep.reporting.live import LiveView, Progress


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=terminal, color_system=None)


def written(target: Console) -> str:
    return target.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def drive(view: LiveView) -> None:
    view.started(0, {"model": "gru", "optimizer.lr": 0.0012345})
    view.report(0, 0.5, 45)
    view.ended(0, "complete", [0.9], 1.5)
    view.message("trial 1: process 7 was killed; trying again")
    view.started(1, {"model": "rnn"})
    view.ended(1, "failed", [], 2.0, "ValueError: [red]no\nTraceback")
    view.started(2, {"model": "rnn"})
    view.ended(2, "pruned", [0.3], 1.0)


def test_plain_lines_where_there_is_no_terminal() -> None:
    target = console()
    with LiveView(5, "maximize", ["val/accuracy"], target) as view:
        drive(view)
    lines = written(target).splitlines()
    assert lines[0] == "trial   0 complete  val/accuracy 0.9  1.5 s  model=gru lr=0.00123  [1/5]"
    assert lines[1] == "trial 1: process 7 was killed; trying again"
    assert lines[2] == "trial   1 failed  2.0 s  model=rnn  ValueError: [red]no  [2/5]"
    assert lines[3] == "trial   2 pruned  val/accuracy 0.3  1.0 s  model=rnn  [3/5]"
    assert lines[4].startswith("3 of 5 trials in ")
    assert lines[4].endswith(
        "1 complete, 1 pruned, 1 failed; best val/accuracy 0.9 (trial 0)  model=gru lr=0.00123"
    )
    assert len(lines) == 5


def test_more_trials_at_a_time_than_fit_are_counted() -> None:
    target = console(terminal=True)
    with LiveView(50, "maximize", ["val/accuracy"], target) as view:
        for trial in range(40):
            view.started(trial, {"model": "gru"})
    last = written(target)
    last = last[last.rindex("0 of 50 trials") :]
    assert "running 40" in last
    assert "trial  15" in last and "trial  16" not in last
    assert "and 24 more" in last


def test_one_view_on_a_terminal() -> None:
    target = console(terminal=True)
    with LiveView(5, "maximize", ["val/accuracy"], target) as view:
        drive(view)
        view.started(3, {"model": "lstm"})
        view.report(3, 0.25, 90)
    text = written(target)
    last = text[text.rindex("3 of 5 trials") :]
    assert "running 1   complete 1   pruned 1   failed 1" in last
    assert "best val/accuracy 0.9 (trial 0)  model=gru lr=0.00123" in last
    assert "0.25 at step 90" in last
    assert "left" in last
    assert "trial 1 failed: ValueError: [red]no" in text
    assert "trying again" in text


def test_several_objectives_are_told_each() -> None:
    target = console()
    with LiveView(2, "maximize", ["val/accuracy", "val/loss"], target) as view:
        view.ended(0, "complete", [0.9, 0.3], 1.0)
    assert "val/accuracy 0.9  val/loss 0.3" in written(target)


def test_goes_on_from_a_study_that_is_partly_done() -> None:
    target = console()
    done = [
        Row(0, "complete", 0.2, {"model": "gru"}),
        Row(1, "pruned", 0.1),
        Row(2, "running"),
        Row(3, "complete", 0.4),
    ]
    with LiveView(4, "minimize", ["val/loss"], target, done) as view:
        view.started(2, {"model": "rnn"})
        view.ended(2, "complete", [0.3], 1.0)
    lines = written(target).splitlines()
    assert lines[0].endswith("[4/4]")
    assert "4 of 4 trials" in lines[1]
    assert "best val/loss 0.2 (trial 0)  model=gru" in lines[1]


def test_a_trial_that_was_not_seen_to_start_may_end() -> None:
    target = console()
    with LiveView(1, "minimize", ["val/loss"], target) as view:
        view.report(0, 1.0, 1)
        view.ended(0, "complete", [math.nan], 1.0)
    assert "best" not in written(target)


def test_time_left() -> None:
    progress = Progress(n_trials=10, maximize=True)
    assert progress.seconds_left(0.0) is None
    from seqsweep.reporting.live import _Running

    progress.durations = [10.0, 20.0]
    progress.counts.update(complete=2)
    progress.running = {2: _Running({}, since=0.0), 3: _Running({}, since=10.0)}
    # 5 and 15 seconds of those under way, then six trials of 15 seconds, two at a time
    assert progress.seconds_left(10.0) == (5 + 15 + 6 * 15) / 2
    assert progress.seconds_left(1000.0) == 6 * 15 / 2
