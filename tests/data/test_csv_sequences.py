from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data import CsvClassification, CsvRegression
from seqsweep.data.csv_sequences import Steps
from seqsweep.data.records import rows_of
from seqsweep.data.scaling import learn_scale, standardised
from seqsweep.data.table import TableFile
from seqsweep.errors import ConfigError, DataError

KINDS = (CsvClassification, CsvRegression)


def frame(sequences: int = 12, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """Sequences of 1 to 5 steps with two features, a text, and targets that read well as either kind."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 6, sequences)
    ids = np.repeat(np.arange(sequences), lengths)
    rows = {
        "id": [f"s{number:02}" for number in ids],
        "time": np.concatenate([np.arange(length) for length in lengths]),
        "x": random.normal(5, 2, len(ids)),
        "y": random.integers(0, 100, len(ids)),
        "note": "free text",
        "target": ids % 2,
    }
    return pd.DataFrame(rows | columns)


def saved(path: Path, table: pd.DataFrame | str) -> Path:
    if isinstance(table, str):
        path.write_text(table)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


def loaded(path: Path, kind: Any = CsvClassification, **options: Any) -> Any:
    shares = {"val_share": 0.25, "test_share": 0.25}
    return kind(train=str(path), **(shares | options))


def refusal(path: Path, kind: Any = CsvClassification, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        _ = loaded(path, kind, **options).splits
    message = str(caught.value)
    assert "\n" not in message
    return message


def seen(data: Any) -> dict[bytes, tuple[str, Any]]:
    """The part and the target of each sequence, found by its inputs."""
    found = {}
    for part in ("train", "val", "test"):
        examples = getattr(data.splits, part)
        for row in range(len(examples)):
            batch = examples.cut(torch.tensor([row]))
            key = batch.inputs[0].numpy().tobytes()
            assert key not in found
            found[key] = (part, batch.targets[0].tolist())
    return found


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.csv.GZ.csv"])
def test_every_form_of_file_gives_the_same(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, frame())
    data = loaded(path, scale="none")
    assert data.spec.input_size == 2
    assert data.spec.class_names == ("0", "1")
    assert data.summary() == (
        f"a: 6 train, 3 val, 3 test; 2 features (x, y, left out: note), up to "
        f"{data.fitted['longest']} steps, 2 classes (0, 1)"
    )
    expected = {
        group[["x", "y"]].to_numpy(np.float32).tobytes(): int(group["target"].iloc[0])
        for _, group in frame().groupby("id")
    }
    assert {key: target for key, (_, target) in seen(data).items()} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_sequences_may_be_mixed(tmp_path: Path, kind: Any) -> None:
    whole = frame().sort_values("time", kind="stable")
    data, mixed = (
        loaded(saved(tmp_path / f"{name}.csv", table), kind, scale="none")
        for name, table in (("a", frame()), ("b", whole))
    )
    assert seen(data).keys() == seen(mixed).keys()


def test_several_targets_in_their_own_units(tmp_path: Path) -> None:
    table = frame()
    table["a"], table["b"] = table["target"] * 10.0 + 3, table["id"].str[1:].astype(int)
    data = loaded(saved(tmp_path / "a.csv", table), CsvRegression, target=["a", "b"])
    assert data.spec.target_names == ("a", "b")
    train = data.splits.train.cut(torch.arange(6)).targets
    torch.testing.assert_close(train.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(2))
    own = train * torch.tensor(data.spec.target_scales) + torch.tensor(data.spec.target_means)
    assert set(own[:, 0].round(decimals=3).tolist()) <= {3.0, 13.0}
    assert data.fitted["features"] == ["x", "y", "target"]


@pytest.mark.parametrize("scale", ["standard", "minmax", "none"])
def test_scaling_is_the_training_parts(tmp_path: Path, scale: str) -> None:
    train = frame(constant=0.1)
    test = frame(seed=1, constant=7.0)
    test["x"] += 1000
    data = loaded(
        saved(tmp_path / "a.csv", train),
        test=str(saved(tmp_path / "b.csv", test)),
        val_share=0.2,
        scale=scale,
    )
    values = data.splits.train.inputs.values.numpy()
    if scale == "standard":
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(values.std(0), [1, 1, 0], atol=1e-6)
    elif scale == "minmax":
        np.testing.assert_allclose(values.min(0), 0, atol=1e-7)
        np.testing.assert_allclose(values.max(0), [1, 1, 0], atol=1e-6)
    else:
        np.testing.assert_allclose(values[:, 2], 0.1, rtol=1e-6)
    assert data.splits.test.inputs.values[:, 0].min() > 100


def test_a_small_change_of_a_large_number_is_no_constant() -> None:
    rows = np.array([[1e9], [1e9 + 1], [1e9 + 2]])
    scaled = standardised(rows, learn_scale(rows))
    np.testing.assert_allclose(scaled[:, 0], [-(1.5**0.5), 0, 1.5**0.5], rtol=1e-6)


def test_ids_and_classes_are_taken_as_they_are_written(tmp_path: Path) -> None:
    text = "id,time,x,target\n" + "".join(
        f"{name},1,{row},{target}\n"
        for row, (name, target) in enumerate(
            [("7", "01"), ("07", "1"), ("007", "01"), ("NA", "1"), ("e", "01"), ("f", "1")]
        )
    )
    data = loaded(saved(tmp_path / "a.csv", text), val_share=0.17, test_share=0.17)
    assert data.spec.class_names == ("01", "1")
    assert sum(len(part) for part in (data.splits.train, data.splits.val, data.splits.test)) == 6


def test_another_separator_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    table = frame().rename(columns={"x": "größe"})
    table.to_csv(path, index=False, sep=";", encoding="latin-1")
    data = loaded(path, separator=";", encoding="latin-1")
    assert data.fitted["features"] == ["größe", "y"]
    assert "line 1: not utf-8 text" in refusal(path, separator=";")
    assert "data.separator" in refusal(path, encoding="latin-1")


def test_times_may_be_dates(tmp_path: Path) -> None:
    table = frame()
    table["time"] = pd.Timestamp("2020-01-30") + pd.to_timedelta(table["time"], unit="D")
    for name in ("a.csv", "a.parquet"):
        assert loaded(saved(tmp_path / name, table)).fitted["features"] == ["x", "y"]
    table["time"] = table["time"].dt.strftime("%d.%m.%Y")
    assert "line 2: column 'time' is '30.01.2020', expected a number, or a date" in refusal(
        saved(tmp_path / "b.csv", table)
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
@settings(deadline=None, max_examples=50)
def test_rows_are_brought_together_in_their_order(ids: list[int]) -> None:
    class Ids:
        def codes(self, _: str) -> tuple[np.ndarray, np.ndarray]:
            names = list(dict.fromkeys(ids))
            return np.array([names.index(name) for name in ids]), np.array(names)

    steps = Steps.of(Ids(), "id")  # type: ignore[arg-type]
    rows = np.split(steps.order, steps.starts[1:])
    assert [part.tolist() for part in rows] == [
        [row for row, name in enumerate(ids) if name == wanted] for wanted in dict.fromkeys(ids)
    ]
    np.testing.assert_array_equal(rows_of(steps.starts, steps.lengths), np.arange(len(ids)))


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split_by", ["row", "group", "time"])
def test_a_split_is_a_partition(tmp_path: Path, kind: Any, split_by: str) -> None:
    table = frame(20)
    table["group"] = "g" + (table["id"].str[1:].astype(int) // 4).astype(str)
    path = saved(tmp_path / "a.csv", table)
    data = loaded(path, kind, split_by=split_by, group="group", scale="none")
    found = seen(data)
    expected = {
        part[["x", "y"]].to_numpy(np.float32).tobytes(): str(part["group"].iloc[0])
        for _, part in table.groupby("id")
    }
    assert found.keys() == expected.keys()
    if split_by == "group":
        parts = {(expected[key], part) for key, (part, _) in found.items()}
        assert len(parts) == len({group for group, _ in parts}) == 5


def test_by_time_the_last_ones_are_held_out(tmp_path: Path) -> None:
    table = frame(8)
    days = 100 - table["id"].str[1:].astype(int)  # the file's first sequence is the last in time
    table["time"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(days * 10 + table["time"], unit="D")
    data = loaded(saved(tmp_path / "a.csv", table), split_by="time", scale="none")
    order = [part for part, _ in seen_in_order(data, table)]
    assert order == ["test"] * 2 + ["val"] * 2 + ["train"] * 4


def seen_in_order(data: Any, table: pd.DataFrame) -> list[tuple[str, Any]]:
    found = seen(data)
    return [found[part[["x", "y"]].to_numpy(np.float32).tobytes()] for _, part in table.groupby("id")]


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_for_a_file_without_answers(tmp_path: Path, kind: Any) -> None:
    data = loaded(saved(tmp_path / "a.csv", frame()), kind)
    again = loaded(tmp_path / "gone.csv", kind)
    again.use(data.fitted)
    new = frame(3, seed=5)[["time", "y", "id", "x"]]
    records, examples = again.unlabelled(saved(tmp_path / "new.csv", new))
    batch = examples.cut(torch.arange(3))
    x = (new["x"][0] - data.fitted["means"][0]) / data.fitted["scales"][0]
    assert batch.inputs[0, 0, 0].item() == pytest.approx(x, rel=1e-5)
    out = io.StringIO()
    if kind is CsvClassification:
        again.write(records, [{"class": 1, "probabilities": [0.25, 0.75]}] * 3, out)
        assert out.getvalue().startswith("id,target,probability_0,probability_1\ns00,1,0.250000,0.750000\n")
    else:
        again.write(records, [[1.5], [2.0], [-3.0]], out)
        assert out.getvalue() == "id,target\ns00,1.5\ns01,2\ns02,-3\n"
    with pytest.raises(DataError, match="no column 'x'"):
        again.unlabelled(saved(tmp_path / "less.csv", new.drop(columns="x")))


def test_a_run_tests_on_other_data_as_it_was_trained(tmp_path: Path) -> None:
    fitted = loaded(saved(tmp_path / "a.csv", frame())).fitted
    other = loaded(tmp_path / "gone.csv", test=str(saved(tmp_path / "b.csv", frame(5, seed=3))))
    other.use(fitted)
    assert len(other.splits.test) == 5
    assert other.fitted == fitted


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a.csv: empty; expected a header"),
        ("\n\n", "a.csv: empty"),
        ("id,time,x,target\n", "a.csv: a header alone"),
        ("id,time,x,target\na,1,1,0\n\na,2,1\n", "a.csv, line 4: 3 values, expected 4"),
        ("id,time,x,target\na,1,1,0\n\na,2,one,0\n", "a.csv, line 4: column 'x' is 'one', expected a finite"),
        ("id,time,x,target\na,1,nan,0\n", "a.csv, line 2: column 'x' is 'nan'"),
        ("id,time,x,target\na,1,2,0\na,2,-inf,0\n", "a.csv, line 3: column 'x' is '-inf'"),
        ("id,time,x,target\na,1,2,0\na,2,1e39,0\n", "a.csv, line 3: column 'x' is '1e39'"),
        ("id,time,x,target\na,1,,0\na,2,1,0\n", "a.csv, line 2: column 'x' is empty"),
        ("id,time,x,target\na,1,1,0\n,2,1,0\n", "a.csv, line 3: column 'id' is empty"),
        ("id,time,x,target\na,1,1,0\na,2,1,\n", "a.csv, line 3: column 'target' is empty"),
        ("id,time,x,target\na,1,1,0\na,,1,0\n", "a.csv, line 3: column 'time' is empty"),
        ("id,time,x,target\na,1,1,0\nb,1,1,0\na,1,2,0\n", "line 4, sequence 'a': its time was there before"),
        ("id,time,x,target\na,1,1,0\nb,9,1,0\na,0,2,0\n", "line 4, sequence 'a': its time is earlier"),
        (
            "id,time,x,target\na,1,1,0\na,2,1,1\n",
            "line 3, sequence 'a': its target is '1', in the sequence's first",
        ),
        ("id,time,x,target\na,1,1,0\nb,1,2,0\nc,1,3,0\nd,1,4,0\n", None),
        ("id,time,x,x,target\na,1,1,1,0\n", "two columns are named 'x'"),
        ("id,time,note,target\na,1,some,0\n", "no column of numbers besides"),
        ("name,time,x,target\na,1,1,0\n", "no column 'id' (data.id=id); it has name, time, x, target"),
        ("id,step,x,target\na,1,1,0\n", "no column 'time' (data.time=time)"),
        ("id,time,x,label\na,1,1,0\n", "no column 'target' (data.target=target)"),
        ('id,time,x,target\n"a,1,1,0\n', "a.csv"),
        ("id,time,x,target\na,1,1,0\n", "are too few to hold out"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, kind: Any, text: str, told: str | None) -> None:
    only = {CsvClassification: "'0' is the only class", CsvRegression: "column 'target' is 0 in every"}[kind]
    assert (told or only) in refusal(saved(tmp_path / "a.csv", text), kind)


def test_a_class_that_only_the_test_part_has(tmp_path: Path) -> None:
    test = frame(4, seed=1)
    test.loc[test["id"] == "s03", "target"] = 9
    line = int(np.flatnonzero(test["id"] == "s03")[0]) + 2
    message = refusal(saved(tmp_path / "a.csv", frame()), test=str(saved(tmp_path / "b.csv", test)))
    assert f"b.csv, line {line}, sequence 's03': '9' is not a class of the training part" in message


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path: Path, kind: Any) -> None:
    whole = gzip.compress(frame().to_csv(index=False).encode())
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "not a whole gzip file" in refusal(tmp_path / "a.csv.gz", kind)
    parquet = saved(tmp_path / "a.parquet", frame()).read_bytes()
    (tmp_path / "a.parquet").write_bytes(parquet[: len(parquet) // 2])
    assert "not a whole Parquet file" in refusal(tmp_path / "a.parquet", kind)
    (tmp_path / "b.csv").write_bytes(b"id,time,x,target\na,1,1,0\nb\xe9,1,1,0\n")
    assert "line 3: not utf-8 text" in refusal(tmp_path / "b.csv", kind)
    assert "there is no such file" in refusal(tmp_path / "none.csv", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_parquet_are_counted_from_one(tmp_path: Path, kind: Any) -> None:
    table = frame()
    table["x"] = table["x"].where(table.index != 3)
    assert "a.parquet, row 4: column 'x' is" in refusal(saved(tmp_path / "a.parquet", table), kind)
    table["x"] = table["x"].astype(object).where(table.index == -1, "1.5").where(table.index != 6, "six")
    assert "b.parquet, row 7: column 'x' is 'six'" in refusal(saved(tmp_path / "b.parquet", table), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_long_sequences_are_refused_or_cut(tmp_path: Path, kind: Any) -> None:
    path = saved(tmp_path / "a.csv", frame())
    message = refusal(path, kind, max_length=2)
    assert "steps, more than data.max_length=2" in message and "sequence 's" in message
    data = loaded(path, kind, max_length=2, too_long="cut", scale="none")
    assert int(data.splits.train.lengths.max()) == 2
    firsts = {part[["x", "y"]].to_numpy(np.float32)[:2].tobytes() for _, part in frame().groupby("id")}
    assert seen(data).keys() == firsts


def test_a_changed_file_is_prepared_anew(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", frame())
    assert len(loaded(path).splits.train) == 6
    saved(path, frame(24))
    assert len(loaded(path).splits.train) == 12
    before = loaded(path, scale="none").fitted
    table = frame(24, y=frame(24)["y"].to_numpy()[::-1])
    stamp = path.stat().st_mtime_ns
    saved(path, table)
    os.utime(path, ns=(stamp + 1, stamp + 1))  # of the same size, a moment later
    assert loaded(path, scale="none").fitted == before
    assert loaded(path).fitted["means"] == pytest.approx(loaded(path).fitted["means"])


def test_the_second_start_reads_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.csv", frame())
    first = seen(loaded(path))
    monkeypatch.delattr(TableFile, "read")
    assert seen(loaded(path)) == first


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scale": "robust"}, "scale=robust"),
        ({"separator": "::"}, "separator=::"),
        ({"features": []}, r"features=\[\]"),
        ({"features": ["x", "x"]}, "features="),
        ({"target": ["a", "b"]}, "target="),
        ({"split_by": "group"}, "group=null"),
        ({"split_by": "file"}, "split_by=file"),
    ],
)
def test_wrong_options(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        CsvClassification(train="a.csv", **options)


def test_features_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", frame())
    assert loaded(path, features=["y"]).spec.input_size == 1
    assert loaded(path, features="y").spec.input_size == 1
    assert "line 2: column 'note' is 'free text'" in refusal(path, features=["note"])
    assert "no column 'z' (data.features=z)" in refusal(path, features=["z"])


def test_names_with_spaces_around_them_are_still_taken_as_they_are_written(tmp_path: Path) -> None:
    table = frame(id=None, target=None)
    lengths = frame().groupby("id").size()
    ids = [f"{row:0{1 + row % 2}}" for row in range(12)]
    table["id"] = np.repeat(ids, lengths)
    table["target"] = np.repeat([f"{row % 2:02}" for row in range(12)], lengths)
    text = table.to_csv(index=False)
    header, _, rows = text.partition("\n")
    spaced = saved(tmp_path / "spaced.csv", header.replace(",", ", ") + "\n" + rows)
    assert loaded(spaced).spec.class_names == ("00", "01")
    assert seen(loaded(spaced)) == seen(loaded(saved(tmp_path / "plain.csv", text)))


def test_a_cell_may_hold_a_line_break_however_large_the_file(tmp_path: Path) -> None:
    table = frame(sequences=6000, note="line one\nline two" + " and more" * 10)
    path = saved(tmp_path / "large.csv", table)
    assert path.stat().st_size > 1 << 20
    assert sum(loaded(path).describe()[part] for part in ("train", "val", "test")) == 6000


@pytest.mark.parametrize("name", ["own.csv", "own.parquet"])
def test_a_data_frames_row_numbers_are_no_feature(tmp_path: Path, name: str) -> None:
    table = frame(sequences=40).query("y < 90")
    if name == "own.csv":
        table.to_csv(tmp_path / name)
    else:
        table.to_parquet(tmp_path / name)
    assert loaded(tmp_path / name).fitted["features"] == ["x", "y"]


def test_very_many_classes(tmp_path: Path) -> None:
    rows = "".join(f"{row},0,{row % 7},c{row % 35_000}\n" for row in range(70_000))
    data = loaded(saved(tmp_path / "many.csv", "id,time,x,target\n" + rows), val_share=0.01, test_share=0.01)
    assert data.spec.output_size == 35_000
    assert int(data.splits.train.targets.max()) == 34_999
