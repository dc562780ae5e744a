from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data import CsvForecasting
from seqsweep.errors import ConfigError, DataError

WINDOW: dict[str, Any] = {"context": 4, "horizon": 2}


def frame(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """A row number, which tells where a window was cut, a random walk, and a text."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=rows, freq="h").strftime("%Y-%m-%d %H:%M:%S"),
            "row": np.arange(rows) + 0.5,
            "walk": random.normal(size=rows).cumsum().round(6),
            "note": "free text",
        }
    )


def saved(path: Path, table: pd.DataFrame | str | None = None) -> Path:
    table = frame() if table is None else table
    if isinstance(table, str):
        path.write_text(table)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return path


def load(path: Path, **options: Any) -> CsvForecasting:
    return CsvForecasting(train=str(path), **(WINDOW | options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options).setup()
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def windows(data: CsvForecasting, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The part's windows: inputs and targets, unscaled."""
    examples = getattr(data.splits, part)
    batch = examples.cut(torch.arange(len(examples)))
    means, scales = (torch.tensor(data.fitted[name]) for name in ("means", "scales"))
    index = list(data.spec.target_columns)
    return batch.inputs * scales + means, batch.targets * scales[index] + means[index]


def told_rows(data: CsvForecasting, part: str) -> set[int]:
    """The rows that the part's targets stand in."""
    column = data.spec.target_names.index("row")
    return {round(value - 0.5) for value in windows(data, part)[1][..., column].flatten().tolist()}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    data = load(saved(tmp_path / "own.csv"))
    assert data.describe() == {"name": "own", "train": 43, "val": 5, "test": 5}
    spec = data.spec
    assert (spec.kind, spec.per_step, spec.horizon, spec.max_length) == ("forecasting", False, 2, 4)
    assert (spec.input_size, spec.output_size) == (2, 4)
    assert spec.target_names == ("row", "walk")
    assert spec.target_columns == (0, 1)
    assert "dates in 'when', features row, walk, forecast all of them: 2 steps from 4" in data.summary()
    inputs, targets = windows(data, "train")
    table = frame()[["row", "walk"]].to_numpy(np.float32)
    for start in range(len(inputs)):
        np.testing.assert_allclose(inputs[start], table[start : start + 4], atol=1e-4)
        np.testing.assert_allclose(targets[start], table[start + 4 : start + 6], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(40, 90),
    context=st.integers(1, 8),
    horizon=st.integers(1, 5),
    stride=st.integers(1, 7),
    exact=st.booleans(),
)
def test_no_target_crosses_a_split(
    tmp_path_factory: pytest.TempPathFactory, rows: int, context: int, horizon: int, stride: int, exact: bool
) -> None:
    path = saved(tmp_path_factory.mktemp("own") / "own.csv", frame(rows))
    sizes = {"train": rows - 20, "val": 10, "test": 8}
    options: dict[str, Any] = {f"{part}_steps": size for part, size in sizes.items()} if exact else {}
    options |= {"context": context, "horizon": horizon, "stride": stride, "val_share": 0.2, "test_share": 0.2}
    data = load(path, **options)
    if not exact:
        held = round(0.2 * rows)
        sizes = {"train": rows - 2 * held, "val": held, "test": held}
    begin = 0
    for part, size in sizes.items():
        own = range(begin, begin + size)
        first = context if part == "train" else begin  # later parts look back into the one before
        assert told_rows(data, part) <= set(own)
        assert min(told_rows(data, part)) == first
        assert len(getattr(data.splits, part)) == 1 + (begin + size - first - horizon) // stride
        begin += size


def test_windows_share_one_table(tmp_path: Path) -> None:
    splits = load(saved(tmp_path / "own.csv")).splits
    inputs, targets = splits.train.inputs, splits.train.targets
    assert inputs.values.data_ptr() == targets.values.data_ptr()  # type: ignore[union-attr]
    assert splits.train.inputs.values.shape == (48, 2)  # type: ignore[union-attr]


def test_parts_with_files_of_their_own_look_back_into_nothing(tmp_path: Path) -> None:
    data = load(saved(tmp_path / "own.csv"), test=str(saved(tmp_path / "test.csv", frame(10))))
    assert data.describe() == {"name": "own", "train": 49, "val": 5, "test": 5}
    assert told_rows(data, "test") == {4, 5, 6, 7, 8, 9}


def test_scaling_and_naive_errors_are_of_the_training_part_alone(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.csv")
    data = load(path, season=3)
    train = frame()[["row", "walk"]].to_numpy()[:48]
    assert data.spec.target_means == pytest.approx(train.mean(0))
    assert data.spec.target_scales == pytest.approx(train.std(0))
    naive = np.abs(train[3:] - train[:-3]).mean(0) / train.std(0)
    assert data.spec.naive_errors == pytest.approx(naive)
    other = frame()
    other.loc[48:, ["row", "walk"]] *= 1000
    assert load(saved(tmp_path / "other.csv", other), season=3).fitted == data.fitted
    assert load(path, scale="none").spec.target_means == (0, 0)


def test_columns_are_chosen(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.csv")
    data = load(path, features=["walk", "row"], targets=["row"])
    assert (data.spec.input_size, data.spec.output_size, data.spec.target_columns) == (2, 2, (1,))
    assert data.fitted["features"] == ["walk", "row"]
    inputs, targets = windows(data, "test")
    torch.testing.assert_close(targets[0, 0, 0], inputs[0, -1, 1] + 1)
    assert data.splits.test.cut(torch.arange(3)).targets.shape == (3, 2, 1)


def test_autoregressive_models_tell_a_step_of_every_feature(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.csv")
    spec = load(path, method="autoregressive", targets=["walk", "row"]).spec
    assert (spec.per_step, spec.output_size, spec.target_columns) == (True, 2, (0, 1))
    assert spec.target_names == ("row", "walk")
    with pytest.raises(
        ConfigError, match=r"data.targets=\['row'\]: expected null with data.method=autoregressive"
    ):
        load(path, method="autoregressive", targets=["row"]).setup()


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz", ".csv"])
def test_forms_of_files(tmp_path: Path, suffix: str) -> None:
    table = frame()
    path = saved(tmp_path / f"own{suffix}", table)
    assert load(path).fitted == load(saved(tmp_path / "plain.csv")).fitted
    table["when"] = pd.to_datetime(table["when"])
    assert load(saved(tmp_path / f"typed{suffix}", table)).fitted == load(path).fitted
    separated = saved(tmp_path / "semicolons.csv", frame().to_csv(index=False, sep=";"))
    assert load(separated, separator=";").fitted == load(path).fitted


@pytest.mark.parametrize(
    ("form", "freq", "given"),
    [
        ("%Y-%m-%d %H:%M:%S", "15min", None),
        ("%Y-%m-%d", "D", None),
        ("%Y-%m", "MS", None),
        ("%d.%m.%Y", "D", "%d.%m.%Y"),
        ("%m/%d/%Y", "W", None),
        ("%Y-%m-%dT%H:%M:%SZ", "h", None),
        ("%Y", "YS", None),
    ],
)
def test_forecasts_go_on_with_the_dates_as_they_are_written(
    tmp_path: Path, form: str, freq: str, given: str | None
) -> None:
    dates = pd.date_range("2000-01-01", periods=52, freq=freq).strftime(form)
    table = frame(52)
    table["when"] = dates
    path = saved(tmp_path / "own.csv", table[:50])
    data = load(path, date="when", date_format=given)
    records, examples = data.unlabelled(path)
    assert len(examples) == 1
    batch = examples.cut(torch.arange(1))
    means, scales = np.array(data.fitted["means"]), np.array(data.fitted["scales"])
    expected = (table[["row", "walk"]].to_numpy()[46:50] - means) / scales
    np.testing.assert_allclose(batch.inputs[0], expected, atol=1e-5)
    out = io.StringIO()
    data.write(records, [[[1.0, -2.5], [1e6, 3.0]]], out)
    assert out.getvalue() == f"when,row,walk\n{dates[50]},1,-2.5\n{dates[51]},1000000,3\n"


def test_a_runs_own_columns_and_scaling_are_used_again(tmp_path: Path) -> None:
    fitted = load(saved(tmp_path / "own.csv"), features=["walk"]).fitted
    table = frame(9, seed=3)[["walk", "when"]]
    other = load(tmp_path / "own.csv", test=str(saved(tmp_path / "test.csv", table)))
    other.use(fitted)
    # the training part too: a test fits its linear baseline to it
    assert [len(part) for part in (other.splits.train, other.splits.val, other.splits.test)] == [49, 0, 4]
    inputs, _ = windows(other, "test")
    np.testing.assert_allclose(inputs[0, :, 0], table["walk"][:4], atol=1e-5)
    with pytest.raises(
        DataError, match=r"short.csv: 3 rows, but a forecast takes the last 4 \(data.context\)"
    ):
        other.unlabelled(saved(tmp_path / "short.csv", frame(3)))
    with pytest.raises(DataError, match=r"narrow.csv: no column 'walk'"):
        other.unlabelled(saved(tmp_path / "narrow.csv", frame()[["when", "row"]]))


def changed(row: int, column: str, value: Any) -> pd.DataFrame:
    table = frame().astype(object)
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", ": empty"),
        ("when,row\n", ": has a header, but no rows"),
        ("when,row\n2020-01-01,1\n2020-01-02,2,3\n", ", line 3: 3 values, expected 2"),
        ("when,row\n2020-01-01,1\n2020-01-02\n", ", line 3: 1 values, expected 2"),
        (changed(5, "row", "abc"), ", line 7: column 'row' is 'abc', expected a finite number"),
        (changed(5, "row", ""), ", line 7: column 'row' is empty, expected a finite number"),
        (changed(5, "row", "NaN"), ", line 7: column 'row' is 'NaN', expected a finite number"),
        (changed(0, "row", "inf"), ", line 2: column 'row' is 'inf', expected a finite number"),
        (
            changed(5, "when", "2020-13-01"),
            ", line 7: '2020-13-01' in 'when' is no date in the form %Y-%m-%d",
        ),
        (changed(5, "when", ""), ", line 7: '' in 'when' is no date"),
        (
            changed(5, "when", "2020-01-01 04:00:00"),
            ", line 7: '2020-01-01 04:00:00' in 'when' stands there twice",
        ),
        (
            changed(5, "when", "2020-01-01 03:30:00"),
            ", line 7: '2020-01-01 03:30:00' in 'when' comes after '2020",
        ),
        (frame().drop(columns="when"), ": has no column of dates, only row, walk, note; say which"),
        (
            frame().assign(also=frame()["when"]),
            ": has dates in when, also; say which column it is: data.date=",
        ),
        (frame()[["when", "note"]], ": has no column of numbers, only when, note"),
        (frame().assign(walk=3.0), ": 'walk' repeats itself exactly after data.season=1"),
        (frame(13), ", line 2: the part from here on has"),
        (frame(1), ": 1 examples are too few"),
    ],
    ids=range(18),
)
def test_bad_input_is_refused_with_its_line(tmp_path: Path, table: Any, message: str) -> None:
    options = {"context": 10} if isinstance(table, pd.DataFrame) and len(table) == 13 else {}
    assert refusal(saved(tmp_path / "bad.csv", table), **options).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date": "date"}, ": no column 'date' (data.date=date); it has when, row, walk, note"),
        ({"features": ["rows"]}, ": no column 'rows' (data.features=rows)"),
        ({"features": ["note"]}, ", line 2: column 'note' is 'free text', expected a finite number"),
        ({"targets": ["wlak"]}, ": has no column of numbers 'wlak', only row, walk; did you mean 'walk'?"),
        ({"date": "note"}, ", line 2: 'free text' in 'note' is no date whose form can be told"),
        ({"date": "when", "date_format": "%d.%m.%Y"}, ", line 2: '2020-01-01 00:00:00' in 'when' is no date"),
        ({"season": 48}, ": 48 steps to train on, not above data.season=48"),
        ({"horizon": 7}, ", line 56: the part from here on has 6 steps, 4 before"),
        (
            {"train_steps": 40, "val_steps": 11, "test_steps": 10},
            ": 60 rows are fewer than train_steps + val_steps",
        ),
    ],
)
def test_options_that_do_not_suit_the_file_are_refused(tmp_path: Path, options: Any, message: str) -> None:
    assert refusal(saved(tmp_path / "own.csv"), **options).startswith(message)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "own.csv").read_bytes()
    broken = tmp_path / "own.csv.gz"
    broken.write_bytes(gzip.compress(whole)[:-20])
    assert refusal(broken).startswith(": not a whole gzip file")
    latin = tmp_path / "latin.csv"
    latin.write_bytes(whole.replace(b"free text", "Öl".encode("latin-1")))
    assert "not utf-8 text" in refusal(latin)
    assert load(latin, encoding="latin-1").describe()["train"] == 43
    parquet = saved(tmp_path / "own.parquet")
    parquet.write_bytes(parquet.read_bytes()[:-20])
    assert refusal(parquet).startswith(": not a whole Parquet file")
    with pytest.raises(DataError, match="there is no such file"):
        load(tmp_path / "none.csv").setup()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path / "own.csv")
    assert len(load(path).splits.train) == 43
    saved(path, frame(100))
    assert len(load(path).splits.train) == 75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 0}, "context=0: expected an integer of at least 1"),
        ({"horizon": 1.5}, "horizon=1.5: expected"),
        ({"stride": 0}, "stride=0: expected"),
        ({"season": 0}, "season=0: expected"),
        ({"method": "both"}, "method=both: expected one of direct, autoregressive"),
        ({"scale": "x"}, "scale=x: expected one of"),
        ({"split_by": "row"}, "split_by=row: expected one of time"),
        ({"context": 20, "max_length": 10}, "context=20: expected at most max_length=10"),
        ({"features": "row"}, "features=row: expected a list of different columns"),
        ({"features": []}, r"features=\[\]: expected a list"),
        ({"targets": ["a", "a"]}, r"targets=\['a', 'a'\]: expected a list"),
        ({"features": ["a"], "targets": ["b"]}, r"targets=\['b'\]: expected some of the features"),
        ({"val_steps": 5}, "val_steps=5: expected train_steps, val_steps, test_steps together"),
        ({"train_steps": 5, "val_steps": 5, "test_steps": 0}, "test_steps=0: expected an integer"),
        ({"train_steps": 5, "val_steps": 5, "test_steps": 5, "test": "x"}, "train_steps=5: expected"),
        ({"separator": ";;"}, "separator=;;: expected one character"),
        ({"train": None}, "train=null: expected a file"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CsvForecasting(**({"train": "x.csv"} | options))


ETTH1: dict[str, Any] = {
    "dataset": "etth1", "train": "ETTh1.csv", "train_steps": 8640, "val_steps": 2880, "test_steps": 2880,
}  # fmt: skip


def test_etth1(real_data: Path) -> None:
    data = CsvForecasting(root=real_data, **ETTH1)
    assert data.describe() == {"name": "etth1", "train": 8521, "val": 2857, "test": 2857}
    assert data.spec.target_names == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    assert len(data.read(data.find("train", "ETTh1.csv"))) == 17_420
    assert CsvForecasting(root=real_data, features=["OT"], **ETTH1).spec.input_size == 1


def test_airline(real_data: Path) -> None:
    data = CsvForecasting(
        root=real_data,
        dataset="airline",
        train="Airline.csv",
        context=24,
        horizon=12,
        val_share=0.17,
        test_share=0.17,
    )
    assert len(data.read(data.find("train", "Airline.csv"))) == 144
    assert data.describe() == {"name": "airline", "train": 61, "val": 13, "test": 13}


def test_dates_that_could_be_read_in_two_ways_are_not_guessed(tmp_path: Path) -> None:
    dates = [f"01/{month:02}/{year}" for year in range(2000, 2010) for month in range(1, 13)]
    path = saved(tmp_path / "own.csv", pd.DataFrame({"date": dates, "v": np.arange(len(dates)) % 7}))
    assert "may begin with its day or its month; say which with data.date_format=" in refusal(path)
    data = load(path, date_format="%d/%m/%Y")
    assert data.splits.train.inputs is not None


def test_dates_beyond_what_is_counted_in_nanoseconds(tmp_path: Path) -> None:
    dates = pd.date_range("2000-01-01", periods=60).astype(str).tolist()
    dates[-1] = "9999-12-31"
    path = saved(tmp_path / "own.csv", pd.DataFrame({"date": dates, "v": np.arange(60) % 7}))
    assert "dates before 1678 or after 2261" in refusal(path)
