from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqsweep.data import TsClassification
from seqsweep.data.ts_classification import parse_case
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (
    "# a comment\n@problemName Tiny\n@TimeStamps false\n@univariate false\n@classLabel true up down\n@data\n"
)
CASES = [f"{n},{n + 1}:{-n},{n}:{'up' if n % 2 else 'down'}" for n in range(20)]


def write(path: Path, text: str | None = None) -> Path:
    path.write_text(HEADER + "\n".join(CASES) + "\n" if text is None else text)
    return path


def load(path: Path, **options: Any) -> TsClassification:
    return TsClassification(train=str(path), **options)


def refusal(tmp_path: Path, text: str, **options: Any) -> str:
    path = write(tmp_path / "bad.ts", text)
    with pytest.raises(DataError) as caught:
        load(path, **options).setup()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    data = load(write(tmp_path / "own.ts"), scale="none")
    assert data.describe() == {"name": "own", "train": 16, "val": 2, "test": 2}
    spec = data.spec
    assert (spec.kind, spec.input_size, spec.output_size, spec.max_length) == ("classification", 2, 2, 2)
    assert spec.class_names == ("down", "up")
    assert spec.class_counts == (8, 8)
    assert "2 channels, up to 2 steps, 2 classes (down, up)" in data.summary()
    parts = (data.splits.train, data.splits.val, data.splits.test)
    batches = [part.cut(torch.arange(len(part))) for part in parts]
    seen = sorted(
        (inputs.tolist(), spec.class_names[target])
        for batch in batches
        for inputs, target in zip(batch.inputs, batch.targets, strict=True)
    )
    assert seen == sorted(
        ([[n, -n], [n + 1, n]], "up" if n % 2 else "down") for n in range(20)
    )  # a partition: each case once


def test_scaling_is_learnt_from_the_training_part_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "train.ts")
    far = write(tmp_path / "test.ts", HEADER + "1e6,1e6:5,5:up\n1e6,1e6:5,5:down\n")
    data = load(path, test=str(far), val=str(far))
    train = data.splits.train.cut(torch.arange(20)).inputs.flatten(0, 1)
    torch.testing.assert_close(train.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2))
    assert data.fitted["means"] == pytest.approx([10.0, 0.0])
    values = data.splits.test.cut(torch.arange(2)).inputs[..., 0]
    assert values.min() > 1e5


def test_unequal_lengths_are_padded_in_the_batch_only(tmp_path: Path) -> None:
    text = "@classLabel true a b\n@data\n1,2,3:a\n4:b\n5,6:a\n7,8,9:b\n"
    data = load(write(tmp_path / "uneven.ts", text), scale="none", val_share=0.25, test_share=0.25)
    parts = (data.splits.train, data.splits.val, data.splits.test)
    batches = [part.cut(torch.arange(len(part))) for part in parts]
    lengths = [
        n for b in batches for n in (b.lengths if b.lengths is not None else [b.inputs.shape[1]] * len(b))
    ]
    assert sorted(map(int, lengths)) == [1, 2, 3, 3]


def test_headers_are_read_in_any_case_and_gzipped(tmp_path: Path) -> None:
    text = HEADER.replace("@classLabel", "@CLASSLABEL").replace("@data", "@DATA") + "\n".join(CASES)
    path = tmp_path / "own.ts.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert load(path).describe()["train"] == 16


def test_what_is_predicted_is_written_with_its_line(tmp_path: Path) -> None:
    data = load(write(tmp_path / "own.ts"))
    bare = HEADER.replace("@univariate false", "@dimensions 2") + "1,2:3,4\n\n5:6\n"
    records, examples = data.unlabelled(write(tmp_path / "bare.ts", bare))
    assert (len(records), len(examples)) == (2, 2)
    out = io.StringIO()
    data.write(
        records, [{"class": 1, "probabilities": [0.25, 0.75]}, {"class": 0, "probabilities": [1, 0]}], out
    )
    assert out.getvalue() == "line,class,probability_down,probability_up\n7,up,0.25,0.75\n9,down,1,0\n"
    labelled, again = data.unlabelled(tmp_path / "own.ts")
    assert len(again) == len(labelled) == 20


def test_a_runs_own_scaling_and_classes_are_used_again(tmp_path: Path) -> None:
    fitted = load(write(tmp_path / "own.ts")).fitted
    other = load(write(tmp_path / "other.ts", HEADER + "0,0:0,0:up\n"), test=str(tmp_path / "other.ts"))
    other.use(fitted)
    assert len(other.splits.test) == 1
    assert len(other.splits.train) == 0
    expected = [-m / s for m, s in zip(fitted["means"], fitted["scales"], strict=True)]
    assert other.splits.test.cut(torch.arange(1)).inputs[0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": has no line '@data'"),
        ("@classLabel true a b\n", ": has no line '@data'"),
        (HEADER, ": holds no examples"),
        ("1,2:a\n" + HEADER, ", line 1: expected a line that begins with '@'"),
        (HEADER + "1,2:1,2,3:up\n", ", line 7: channel 2 has 3 values, the first one 2"),
        (HEADER + "1,2:1,2:up\n1,2:up\n", ", line 8: 1 channels, expected 2"),
        (HEADER + "1,x:1,2:up\n", ", line 7: value 2 of channel 1 is 'x'; expected a finite number"),
        (HEADER + "1,2:1,?:up\n", ", line 7: value 2 of channel 2 is missing"),
        (HEADER + "1,2:1,:up\n", ", line 7: value 2 of channel 2 is missing"),
        (HEADER + "1,NaN:1,2:up\n", ", line 7: value 2 of channel 1 is 'NaN'"),
        (HEADER + "1,2:inf,2:up\n", ", line 7: value 1 of channel 2 is 'inf'"),
        (HEADER + "(0,1),(1,2):up\n", ", line 7: time stamps are not supported"),
        (HEADER.replace("Stamps false", "Stamps true") + "1:up\n", ", line 3: time stamps are not supported"),
        ("@targetLabel true\n@data\n1:2\n", ", line 1: target values in place of classes are not supported"),
        (HEADER.replace("true up down", "false") + "1:2\n", ", line 5: expected @classLabel true"),
        (HEADER + "1,2:1,2:left\n", ", line 7: class 'left', expected up, down"),
        (HEADER + "1,2:1,2:\n", ", line 7: class '', expected up, down"),
        (HEADER.replace("@univariate false", "@dimensions x"), ", line 4: 'x' dimensions, expected a number"),
        (HEADER + "1,2:1,2:up\n" * 5, ": 'up' is the only class"),
        (HEADER + "1,2:1,2:up\n", ": 1 examples are too few"),
        (
            HEADER.replace("@univariate false", "@dimensions 2") + "1,2:up\n",
            ", line 7: 1 channels, expected 2",
        ),
    ],
)
def test_bad_input_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_other_bad_input_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "own.ts")
    assert ", line 7: 2 steps, more than data.max_length=1" in refusal(
        tmp_path, path.read_text(), max_length=1
    )
    assert load(path, max_length=1, too_long="cut").spec.max_length == 1
    test = write(tmp_path / "test.ts", HEADER.replace(" up down", "") + "1,2:1,2:left\n")
    with pytest.raises(DataError, match=r"test.ts, line 7: 'left' is not a class of the training part"):
        load(path, test=str(test)).setup()
    wide = write(tmp_path / "wide.ts", HEADER + "1:1:1:up\n")
    with pytest.raises(DataError, match=r"wide.ts: 3 channels, but 2 in training"):
        load(path, test=str(wide)).setup()
    broken = tmp_path / "broken.ts.gz"
    broken.write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(DataError, match=r"broken.ts.gz: not a whole gzip file"):
        load(broken).setup()
    latin = tmp_path / "latin.ts"
    latin.write_bytes(path.read_bytes().replace(b"Tiny", "Größe".encode("latin-1")))
    with pytest.raises(DataError, match=r"latin.ts, line 2: not utf-8 text .* data.encoding=latin-1"):
        load(latin).setup()
    assert load(latin, encoding="latin-1").describe()["train"] == 16


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "own.ts")
    assert len(load(path).splits.train) == 16
    write(path, HEADER + "\n".join(CASES * 2) + "\n")
    assert len(load(path).splits.train) == 32


@pytest.mark.parametrize(
    "options", [{"scale": "log"}, {"split_by": "time"}, {"train": None}, {"max_length": 0}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        TsClassification(**({"train": "x.ts"} | options))


@given(
    st.integers(1, 4).flatmap(
        lambda steps: st.lists(
            st.lists(st.floats(-1e6, 1e6), min_size=steps, max_size=steps), min_size=1, max_size=3
        )
    )
)
def test_any_numbers_are_read_as_they_are_written(channels: list[list[float]]) -> None:
    line = ":".join(",".join(map(repr, values)) for values in channels)
    series = parse_case("here", line.split(":"))
    assert series.tolist() == np.array(channels).T.tolist()


def test_basic_motions(real_data: Path) -> None:
    data = TsClassification(
        root=real_data, dataset="basic_motions", train="BasicMotions_TRAIN.ts", test="BasicMotions_TEST.ts",
        val_share=0.2,
    )  # fmt: skip
    assert data.describe() == {"name": "basic_motions", "train": 32, "val": 8, "test": 40}
    spec = data.spec
    assert (spec.input_size, spec.max_length) == (6, 100)
    assert spec.class_names == ("Badminton", "Running", "Standing", "Walking")
    assert spec.class_counts == (8, 8, 8, 8)


def test_a_class_may_have_brackets_and_a_number_must_fit(tmp_path: Path) -> None:
    text = HEADER.replace("up down", "walk(fast) down") + "\n".join(CASES).replace("up", "walk(fast)")
    assert load(write(tmp_path / "own.ts", text)).spec.class_names == ("down", "walk(fast)")
    assert "value 1 of channel 1 is '1e300'" in refusal(tmp_path, HEADER + "1e300,2:3,4:up\n")
