"""What is gathered, and the page and the document made of it; a browser on the page is in end_to_end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from reporting.report_studies import HOSTILE_NAME, IMAGE, SCRIPT, bowl, hostile, several
from seqsweep.errors import StoreError
from seqsweep.reporting.report import StudyReport, document, gather, print_report
from seqsweep.reporting.report.page import render, write_page
from seqsweep.reporting.report.timeline import read
from seqsweep.reporting.report.timeline_figure import timeline as timeline_figure

MEGABYTE = 1e6


class Page(HTMLParser):
    """The tags of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside != "style":
            self.words += data

    @property
    def sections(self) -> list[str | None]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


ALL = ["leaderboard", "next", "history", "importance", "parallel", "slices", "curves", "timeline", "failures"]


def test_a_page_has_it_all() -> None:
    page = Page(render(gather(bowl())))
    assert page.sections == ALL
    places = [int(a["data-figure"] or "") for _, a in page.tags if "data-figure" in a]
    assert places == list(range(len(page.data["figures"])))
    assert "RuntimeError: too small" in page.words


def test_several_objectives() -> None:
    page = Page(render(gather(several())))
    assert "front" in page.sections
    assert "curves" not in page.sections
    assert page.words.count("objective_1")


def empty() -> optuna.Study:
    return optuna.create_study()


def waiting() -> optuna.Study:
    study = empty()
    study.enqueue_trial({"x": 1.0})
    study.ask().report(1.0, 1)
    return study


def failing() -> optuna.Study:
    study = empty()
    study.tell(study.ask(), state=TrialState.FAIL)
    return study


def one() -> optuna.Study:
    study = empty()
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1))
    return study


def nothing_searched() -> optuna.Study:
    study = empty()
    study.optimize(lambda trial: 1.0, n_trials=9)
    return study


def infinite() -> optuna.Study:
    study = empty()
    study.optimize(lambda trial: float("inf") * trial.suggest_float("x", 1, 2), n_trials=9)
    return study


def pruned() -> optuna.Study:
    study = empty()
    for value in (1.0, float("nan")):
        trial = study.ask()
        trial.suggest_int("x", 1, 1)
        trial.report(value, 1)
        study.tell(trial, state=TrialState.PRUNED)
    return study


@pytest.mark.parametrize("make", [empty, waiting, failing, one, nothing_searched, infinite, pruned])
def test_studies_of_which_little_is_to_be_said(
    make: Callable[[], optuna.Study], capsys: pytest.CaptureFixture[str]
) -> None:
    report = gather(make())
    assert Page(render(report)).sections[0] == "leaderboard"
    print_report(report, Console())
    assert report.name in capsys.readouterr().out
    json.dumps(document(report, None), allow_nan=False)


def test_data_stays_data() -> None:
    report = gather(hostile())
    text = render(report)
    page = Page(text)
    assert HOSTILE_NAME in page.words
    assert len(page.scripts) == 3
    assert not [tag for tag, _ in page.tags if tag in {"img", "b", "i", "iframe", "object"} and tag != "b"]
    assert SCRIPT not in text and IMAGE not in text
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    # plotly reads tags in what it writes: there they must be escaped once more
    assert not re.search("<(?!br>|/?b>)", json.dumps(page.data))
    assert len(text) < 6 * MEGABYTE
    assert text.encode("utf-8", "replace")


def test_the_terminal_obeys_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(gather(hostile()), Console(width=100))
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x00" not in said
    assert len(said) < 20_000


def test_nothing_is_loaded() -> None:
    page = Page(render(gather(bowl())))
    assert [
        tag
        for tag, a in page.tags
        if {"src", "href"} & a.keys() and not (a.get("href") or "").startswith("#")
    ] == []
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_page_replaces_the_one_before_at_once(isolated_home: Path) -> None:
    report = gather(bowl())
    for _ in range(2):
        page = write_page(report, isolated_home / "there")
    assert page == isolated_home / "there" / "report.html"
    assert [file.name for file in page.parent.iterdir()] == ["report.html"]
    assert page.stat().st_mode & 0o777 == 0o666 & ~0o022 or page.stat().st_mode & 0o400


def test_a_folder_that_is_a_file(isolated_home: Path) -> None:
    (isolated_home / "file").write_text("")
    with pytest.raises(StoreError, match=r"report\.html: cannot be written"):
        write_page(gather(empty()), isolated_home / "file")


def test_failures_alike_are_one() -> None:
    (failure,) = gather(bowl()).failures
    assert failure.trials == (3, 13, 23)
    assert failure.text == "RuntimeError: too small\nin layer 3"


def test_a_document() -> None:
    report = gather(bowl())
    plain = json.loads(json.dumps(document(report, None), allow_nan=False))
    assert plain["counts"] == {"complete": 21, "pruned": 6, "failed": 3}
    assert next(iter(plain["importance"]["shares"])) == "optimizer.lr"
    assert plain["best_trial"] == plain["trials"][0]["trial"]
    assert len(plain["trials"]) == 30


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    study = empty()
    reports = {step: float(step) for step in range(5000)}
    study.add_trial(create_trial(value=1.0, intermediate_values=reports))
    curve = gather(study).curves[0]
    assert len(curve) <= 201
    assert curve[-1] == (4999, 4999.0)


# ---------------------------------------------------------------- the timeline


def recorded(study: optuna.Study, *parts: dict[str, Any]) -> StudyReport:
    for place, part in enumerate(parts):
        study.set_user_attr(f"seqsweep.timeline.{place}", part)
    return gather(study)


SLOTS = [[0, "0"], [1, "1"]]


def test_slots_and_how_busy_they_were() -> None:
    attempts = [[0, 1, 0, 1000.0, 1010.0, "complete"], [1, 1, 1, 1000.0, 1005.0, "failed"]]
    part = {"began": 1000.0, "seen": 1010.0, "slots": SLOTS, "attempts": attempts}
    timeline = recorded(empty(), part).timeline
    assert timeline.lanes == ("slot 0, GPU 0", "slot 1, GPU 1")
    assert timeline.busy == 0.75


def test_a_slot_that_nothing_ran_on_is_shown_idle() -> None:
    part = {"began": 0.0, "seen": 10.0, "slots": SLOTS, "attempts": [[0, 1, 0, 0.0, 10.0, "complete"]]}
    timeline = recorded(empty(), part).timeline
    assert len(timeline.lanes) == 2
    assert timeline.busy == 0.5


def test_what_ran_as_one_is_in_bars_above_each_other() -> None:
    """Two slots: on the first three trials as one, of which one ends early, and then one by itself."""
    attempts = [
        [0, 1, 0, 0.0, 10.0, "complete"],
        [1, 1, 0, 0.0, 4.0, "pruned"],
        [2, 1, 0, 0.1, 10.0, "complete"],
        [3, 1, 1, 0.2, 5.0, "complete"],
        [4, 1, 1, 5.0, 10.0, "complete"],
        [5, 1, 0, 10.0, 20.0, "complete"],
    ]
    part = {"began": 0.0, "seen": 20.0, "slots": SLOTS, "attempts": attempts}
    report = recorded(empty(), part)
    timeline = report.timeline
    assert [(each.trial, each.seat) for each in timeline.attempts] == [
        (0, 0), (1, 1), (2, 2), (3, 0), (4, 0), (5, 0),
    ]  # fmt: skip
    assert timeline.seats == {"slot 0, GPU 0": 3, "slot 1, GPU 1": 1}
    assert timeline.busy == (20 + 9.8) / 40
    drawn = timeline_figure(report)
    assert drawn is not None
    bars = {
        int(trial): (round(y - width / 2, 9), round(y + width / 2, 9))
        for trace in drawn.data
        for trial, y, width in zip(trace.text, trace.y, trace.width, strict=True)
    }
    below, above = drawn.layout.yaxis.range
    edges = [above, *(edge for trial in (0, 1, 2, 3) for edge in bars[trial]), below]
    assert edges == sorted(edges)  # none overlaps another, and none leaves the figure
    assert bars[5] == bars[0]
    assert bars[4] == bars[3]


def test_pauses_between_commands_are_left_out() -> None:
    first = {
        "began": 0.0,
        "seen": 10.0,
        "slots": [[0, ""]],
        "attempts": [[0, 1, 0, 0.0, 10.0, "interrupted"]],
    }
    again = {"began": 90_000.0, "seen": 90_010.0, "slots": [[0, ""]]}
    again["attempts"] = [[0, 2, 0, 90_000.0, 90_010.0, "complete"]]
    timeline = recorded(empty(), first, again).timeline
    assert timeline.busy == 1.0
    assert timeline.elapsed(90_010.0) == 20.0
    assert [attempt.attempt for attempt in timeline.attempts] == [1, 2]


def test_a_killed_attempt_ran_until_it_was_last_seen() -> None:
    part = {"began": 0.0, "seen": 30.0, "slots": [[0, ""]], "attempts": [[0, 1, 0, 5.0, None, ""]]}
    (attempt,) = recorded(empty(), part).timeline.attempts
    assert (attempt.end, attempt.how) == (30.0, "cut off")


def test_an_attempt_that_went_on_into_the_next_part_is_one() -> None:
    common = {"began": 0.0, "slots": [[0, ""]]}
    open_ = {**common, "seen": 30.0, "attempts": [[0, 1, 0, 5.0, None, ""]]}
    ended = {**common, "seen": 60.0, "attempts": [[0, 1, 0, 5.0, 50.0, "complete"]]}
    (attempt,) = recorded(empty(), open_, ended).timeline.attempts
    assert (attempt.end, attempt.how) == (50.0, "complete")


def test_what_nobody_recorded_is_in_rows_of_what_overlaps() -> None:
    study = optuna.create_study()
    began = datetime(2026, 1, 1)
    for begin, end in ((0, 10), (5, 8), (9, 20), (11, 12)):
        trial = create_trial(value=1.0)
        trial.datetime_start = began + timedelta(seconds=begin)
        trial.datetime_complete = began + timedelta(seconds=end)
        study.add_trial(trial)
    timeline = read(study, study.get_trials())
    assert [attempt.lane for attempt in timeline.attempts] == ["row 1", "row 2", "row 2", "row 1"]
    assert not timeline.recorded
