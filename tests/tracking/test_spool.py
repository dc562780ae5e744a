from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.errors import StoreError
from seqsweep.tracking import Spool
from seqsweep.tracking.draining import Place, SpoolReader
from seqsweep.tracking.records import METRICS, Record, curves, spool_file


def lines(directory: Path) -> list[Record]:
    return [json.loads(line) for line in spool_file(directory).read_text().splitlines()]


def drain(directory: Path) -> list[Record]:
    """All that a new reader finds, committed."""
    reader = SpoolReader(directory, Place.load(directory))
    found: list[Record] = []
    while chunk := reader.read():
        found += chunk
        reader.commit()
    return found


def pairs(found: list[Record]) -> list[tuple[str, int]]:
    return [(key, record[2]) for record in found if record[0] == METRICS for key in record[3]]


def test_records_every_verb_in_order(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.log_params({"model.hidden_size": 64})
        spool.set_tags({"device": "cpu"})
        spool.log_metrics({"train/loss": 0.5}, 3)
        spool.log_artifact(tmp_path / "config.yaml", "files")
        spool.end("complete")
    stripped = [[record[0], *record[2:]] for record in lines(tmp_path)]
    assert stripped == [
        ["p", {"model.hidden_size": "64"}],
        ["t", {"device": "cpu"}],
        ["m", 3, {"train/loss": 0.5}],
        ["a", "config.yaml", "files"],
        ["e", "complete"],
    ]


def test_values_that_json_lacks_come_back(tmp_path: Path) -> None:
    values = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1e-300}
    with Spool(tmp_path) as spool:
        spool.log_metrics(values, 0)
    text = spool_file(tmp_path).read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    ((_, _, _, found),) = drain(tmp_path)
    assert math.isnan(float(found["a"]))
    assert [float(found[key]) for key in "bcd"] == [math.inf, -math.inf, 1e-300]


def test_tensors_are_read_when_flushed_and_without_their_graph(tmp_path: Path) -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    with Spool(tmp_path, interval=60) as spool:
        spool.log_metrics({"loss": weight * 3, "count": torch.tensor(7)}, torch.tensor(1).item())
        assert not any(
            getattr(value, "requires_grad", False) for *_, held in spool._pending for value in held.values()
        )
    assert lines(tmp_path)[0][3] == {"loss": 6.0, "count": 7.0}


def test_a_metric_that_is_no_number_is_told_and_the_rest_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, interval=60)
    spool.log_metrics({"good": 1.0}, 0)
    spool.log_metrics({"bad": torch.zeros(2)}, 1)
    spool.log_metrics({"good": 2.0}, 2)
    with pytest.raises(TypeError, match="step 1 are not single numbers"):
        spool.flush()
    spool.close()
    assert pairs(drain(tmp_path)) == [("good", 0), ("good", 2)]


def test_flushes_by_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, interval=0.01)
    spool.log_metrics({"a": 1.0}, 0)
    while not spool_file(tmp_path).stat().st_size:
        os.sched_yield()
    spool.close()
    spool.close()


def test_the_curves_of_what_was_flushed(tmp_path: Path) -> None:
    assert curves(tmp_path) == {}
    with Spool(tmp_path) as spool:
        spool.log_params({"lr": 0.1})
        spool.log_metrics({"train/loss": 1.0, "val/loss": math.inf}, 10)
        spool.log_metrics({"train/loss": 0.5}, 20)
    with spool_file(tmp_path).open("a") as file:
        file.write('["m", 17, 30, {"train')  # a torn last line
    assert curves(tmp_path) == {"train/loss": [(10, 1.0), (20, 0.5)], "val/loss": [(10, math.inf)]}


def test_a_resumed_attempt_drops_what_is_there(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.log_metrics({"train/loss": 1.0, "val/loss": 2.0}, 10)
    with Spool(tmp_path) as spool:
        assert spool.last_step == 10
        spool.log_metrics({"train/loss": 1.0, "val/accuracy": 0.5}, 10)
        spool.log_metrics({"train/loss": 0.9}, 20)
    assert pairs(drain(tmp_path)) == [
        ("train/loss", 10),
        ("val/loss", 10),
        ("val/accuracy", 10),
        ("train/loss", 20),
    ]


def test_a_torn_last_line_is_cut(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 1.0}, 0)
        spool.log_metrics({"a": 2.0}, 1)
    file = spool_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-5])
    assert pairs(drain(tmp_path)) == [("a", 0)]
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 2.0}, 1)
    assert pairs(drain(tmp_path)) == [("a", 1)]


def test_a_damaged_line_is_passed_over(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 1.0}, 0)
    with spool_file(tmp_path).open("ab") as file:
        file.write(b"\0\0\0\n{}\n")
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 2.0}, 1)
    assert pairs(drain(tmp_path)) == [("a", 0), ("a", 1)]


def test_two_writers_of_one_run_are_drained_once(tmp_path: Path) -> None:
    orphan, heir = Spool(tmp_path, interval=60), Spool(tmp_path, interval=60)
    for step in range(4):
        orphan.log_metrics({"a": 1.0}, step)
        heir.log_metrics({"a": 1.0}, step)
    orphan.close()
    heir.close()
    assert len(lines(tmp_path)) == 8
    assert pairs(drain(tmp_path)) == [("a", step) for step in range(4)]


def test_an_unusable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Spool(tmp_path / "file")


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, interval=60)
    write = os.write

    def half_then_full(descriptor: int, text: bytes) -> int:
        if len(text) > 20:
            return write(descriptor, text[:20])
        raise OSError(28, "No space left on device")

    spool.log_metrics({"a": 1.0}, 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_then_full)
        with pytest.raises(StoreError, match="No space left"):
            spool.flush()
    spool.log_metrics({"a": 2.0}, 1)
    spool.close()
    assert pairs(drain(tmp_path)) == [("a", 0), ("a", 1)]


def test_a_cleared_folder_is_read_from_its_beginning(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 1.0}, 0)
        spool.log_metrics({"a": 1.0}, 1)
    drain(tmp_path)
    spool_file(tmp_path).unlink()
    with Spool(tmp_path) as spool:
        spool.log_metrics({"a": 1.0}, 0)
    assert pairs(drain(tmp_path)) == [("a", 0)]


metrics = st.tuples(
    st.dictionaries(st.sampled_from(["train/loss", "val/é\n", "best"]), st.floats(), min_size=1),
    st.integers(0, 6),
)


@given(
    first=st.lists(metrics, max_size=12),
    second=st.lists(metrics, max_size=12),
    cut=st.integers(min_value=0),
    looks=st.lists(st.booleans(), min_size=24, max_size=24),
    drained_before_the_cut=st.booleans(),
)
def test_cut_anywhere_each_pair_comes_once_and_in_order(
    first: list[tuple[dict[str, float], int]],
    second: list[tuple[dict[str, float], int]],
    cut: int,
    looks: list[bool],
    drained_before_the_cut: bool,
) -> None:
    """An attempt, cut at any byte, another one, drained at any moments: as one undisturbed attempt."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found: list[Record] = []
        with Spool(directory, interval=60) as spool:
            for values, step in first:
                spool.log_metrics(values, step)
        text = spool_file(directory).read_bytes()
        kept = text[: cut % (len(text) + 1)]
        spool_file(directory).write_bytes(kept)
        if drained_before_the_cut:
            found += drain(directory)
        survived = pairs([json.loads(line) for line in kept.split(b"\n")[:-1]])
        with Spool(directory, interval=60) as spool:
            for (values, step), look in zip([*first, *second], looks, strict=False):
                spool.log_metrics(values, step)
                if look:
                    spool.flush()
                    found += drain(directory)
        found += drain(directory)
        asked = [(key, step) for values, step in [*first, *second] for key in values]
        got = pairs(found)
        assert got == list(dict.fromkeys([*survived, *asked]))
        assert drain(directory) == []
