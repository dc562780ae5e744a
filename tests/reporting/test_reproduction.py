"""Two records beside each other, bit for bit."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from seqsweep.reporting.reproduction import Compared, compare, differences, print_comparison

RECORDS = st.dictionaries(
    st.sampled_from(["train/loss", "val/loss", "best/val/loss", "test/accuracy"]),
    st.dictionaries(st.integers(0, 50), st.floats(width=32), min_size=1),
)


@given(RECORDS)
def test_a_record_is_itself(record: dict[str, dict[int, float]]) -> None:
    rows = compare(record, record)
    assert all(row.same for row in rows)
    assert [row.metric for row in rows] == sorted(record)
    assert sum(row.steps for row in rows) == sum(map(len, record.values()))


@given(RECORDS.filter(bool), st.data())
def test_a_single_bit_shows(record: dict[str, dict[int, float]], data: st.DataObject) -> None:
    metric = data.draw(st.sampled_from(sorted(record)))
    step = data.draw(st.sampled_from(sorted(record[metric])))
    value = record[metric][step]
    other = 0.0 if math.isnan(value) else math.nextafter(value, -math.inf if value > 0 else math.inf)
    rows = {row.metric: row for row in compare(record, record | {metric: record[metric] | {step: other}})}
    assert [name for name, row in rows.items() if not row.same] == [metric]
    assert rows[metric].step == step


@pytest.mark.parametrize(
    ("recorded", "now", "until", "expected"),
    [
        ({1: 0.5, 2: 0.25}, {1: 0.5, 2: 0.375}, None, "from step 2: 0.25 recorded, 0.375 now (0.12)"),
        ({1: 0.5, 2: 0.25}, {1: 0.5}, None, "step 2: 0.25 recorded, nothing now"),
        ({1: 0.5}, {1: 0.5, 2: 0.25}, None, "step 2: not recorded, 0.25 now"),
        ({1: 0.5}, {1: 0.5, 2: 0.25}, 1, "the same"),
        ({1: math.nan, 2: math.inf}, {1: math.nan, 2: math.inf}, None, "the same"),
        ({1: math.nan}, {1: 0.0}, None, "from step 1: nan recorded, 0.0 now (nan)"),
    ],
)
def test_what_is_said(
    recorded: dict[int, float], now: dict[int, float], until: int | None, expected: str
) -> None:
    [row] = compare({"val/loss": recorded}, {"val/loss": now}, until=until)
    assert str(row) == expected


@pytest.mark.parametrize(
    ("recorded", "now", "expected"),
    [
        ({1: 0.5, 2: 0.25, 3: 0.5}, {1: 0.5, 2: 0.375, 3: 0.25}, 0.25),
        ({1: 200.0}, {1: 202.0}, 0.01),
        ({1: 0.5, 2: 0.25}, {1: 0.5}, math.inf),
        ({1: math.inf}, {1: math.nan}, math.inf),
        ({1: math.nan}, {1: math.nan}, 0.0),
    ],
)
def test_how_far_apart_they_are(recorded: dict[int, float], now: dict[int, float], expected: float) -> None:
    [row] = compare({"val/loss": recorded}, {"val/loss": now})
    assert row.furthest == pytest.approx(expected)


def test_how_long_it_took_and_what_is_new_are_left_out() -> None:
    rows = compare(
        {"system/seconds": {1: 2.0}, "val/loss": {1: 0.5}}, {"val/loss": {1: 0.5}, "val/f1": {1: 1.0}}
    )
    assert rows == [Compared("val/loss", 1)]


def test_a_metric_that_is_gone_differs() -> None:
    [row] = compare({"val/loss": {1: 0.5}}, {})
    assert (row.same, row.steps, row.different) == (False, 0, 1)


def test_what_differs_comes_first() -> None:
    out = io.StringIO()
    rows = [Compared("a", 3), Compared("b", 3, 1, 2, 0.5, 0.25)]
    print_comparison(rows, Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    assert lines[2].startswith("b")
    assert lines[3].split() == ["a", "3", "the", "same"]


def test_conditions_that_are_not_as_they_were() -> None:
    recorded = {"seqsweep.version.torch": "2.12.0", "seqsweep.threads": "1", "seqsweep.command": "x"}
    now = {
        "seqsweep.version.torch": "2.13.0",
        "seqsweep.threads": "1",
        "seqsweep.device": "cpu",
        "mlflow.user": "y",
    }
    assert differences(recorded, now) == ["torch: 2.12.0 -> 2.13.0", "device: not recorded -> cpu"]
