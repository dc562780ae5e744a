from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqsweep.data import CMapss
from seqsweep.errors import ConfigError, DataError

LIVES = (40, 35, 50, 3, 44, 60)
"""Cycles that the engines of the training file run."""
SEEN, TO_COME = (31, 2, 40), (7, 300, 12)


def rows(lives: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Engines of which the second sensor says engine and cycle, and the first and the last never change."""
    random = np.random.default_rng(seed)
    table = []
    for unit, life in enumerate(lives, start=1):
        for cycle in range(1, life + 1):
            noise = random.normal(size=21).round(3)
            table.append([unit, cycle, 0.1, *noise[:3], 1000 * unit + cycle, *noise[3:], 5.0])
    return np.array(table)


def text(table: np.ndarray) -> str:
    return "".join(" ".join(f"{value:g}" for value in row) + "  \n" for row in table)


def folder(tmp_path: Path, **files: str) -> Path:
    contents = {
        "train_FD001.txt": text(rows(LIVES)),
        "test_FD001.txt": text(rows(SEEN, seed=1)),
        "RUL_FD001.txt": "".join(f"{life} \n" for life in TO_COME),
    } | {f"{name}_FD001.txt": content for name, content in files.items()}
    (tmp_path / "own").mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / "own" / name).write_text(content)
    return tmp_path


def made(root: Path, **options: Any) -> CMapss:
    return CMapss(root=root, dataset="own", **{"val_share": 0.34, "scale": "none", "window": 10} | options)


def told(data: CMapss, part: str) -> list[tuple[int, list[int], float]]:
    """Of each window: its engine, its cycles, its target in cycles."""
    examples = getattr(data.splits, part)
    found = []
    for row in range(len(examples)):
        batch = examples.cut(torch.tensor([row]))
        marks = batch.inputs[0, :, 1].long()  # after sensor 1
        units = (marks // 1000).unique().tolist()
        assert len(units) == 1, "a window crosses engines"
        target = batch.targets[0, 0].item() * data.spec.target_scales[0] + data.spec.target_means[0]
        found.append((units[0], (marks % 1000).tolist(), round(target, 3)))
    return found


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        _ = made(root, **options).splits
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_windows_of_each_part(tmp_path: Path) -> None:
    data = made(folder(tmp_path), cap=20, draws=4)
    train, val, test = (told(data, part) for part in ("train", "val", "test"))
    engines = {part: {unit for unit, _, _ in found} for part, found in (("train", train), ("val", val))}
    assert engines["train"] | engines["val"] == set(range(1, 7))
    assert not engines["train"] & engines["val"], "a window crosses a split"
    assert len(engines["val"]) == 2
    for unit in engines["train"]:
        life = LIVES[unit - 1]
        ends = range(min(10, life), life + 1)
        expected = [(unit, list(range(max(1, end - 9), end + 1)), float(min(20, life - end))) for end in ends]
        assert [window for window in train if window[0] == unit] == expected
    for unit in engines["val"]:
        own = [window for window in val if window[0] == unit]
        life = LIVES[unit - 1]
        assert len(own) == min(4, len(range(min(10, life), life + 1)))
        assert len({cycles[-1] for _, cycles, _ in own}) == len(own)
        assert all(target == life - cycles[-1] <= 20 for _, cycles, target in own)
    assert test == [
        (unit, list(range(max(1, seen - 9), seen + 1)), float(left))
        for unit, (seen, left) in enumerate(zip(SEEN, TO_COME, strict=True), start=1)
    ]
    assert data.splits.test.lengths is not None
    assert data.splits.test.lengths.tolist() == [10, 2, 10]


def test_rows_are_kept_once_and_constant_ones_not_at_all(tmp_path: Path) -> None:
    data = made(folder(tmp_path), scale="standard")
    train = data.splits.train.inputs
    engines = {1, 2, 3, 4, 5, 6} - {unit for unit, _, _ in told(made(folder(tmp_path)), "val")}
    assert train.values.shape == (sum(LIVES[unit - 1] for unit in engines), 20)
    torch.testing.assert_close(train.values.mean(0), torch.zeros(20), atol=1e-5, rtol=0)
    assert data.spec.input_size == 20
    assert "left out: setting 1, setting 2, setting 3, sensor 21" in data.summary()
    assert made(folder(tmp_path), settings=True).spec.input_size == 22


def test_the_draw_follows_the_seed(tmp_path: Path) -> None:
    root = folder(tmp_path)
    assert told(made(root), "val") == told(made(root), "val")
    assert told(made(root), "val") != told(made(root, split_seed=1), "val")


def test_predictions_and_tests_on_other_engines(tmp_path: Path) -> None:
    data = made(folder(tmp_path))
    other = made(tmp_path)
    other.use(data.fitted)
    assert told(other, "test") == told(data, "test")
    records, examples = other.unlabelled(tmp_path / "own" / "test_FD001.txt")
    assert len(examples) == 3
    out = io.StringIO()
    other.write(records, [[1.234], [2.0], [3.0]], out)
    assert out.getvalue() == "engine,cycle,remaining\n1,31,1.23\n2,2,2.00\n3,40,3.00\n"


def test_a_changed_file_is_prepared_anew(tmp_path: Path) -> None:
    root = folder(tmp_path)
    assert told(made(root), "test")[0][2] == 7
    folder(tmp_path, RUL="100\n300\n12\n")
    assert told(made(root), "test")[0][2] == 100


LINE = " ".join(["1"] * 26)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("train", "", "train_FD001.txt: empty"),
        ("train", "\n\n", "train_FD001.txt: empty"),
        ("train", f"{LINE}\n\n{LINE[2:]}\n", "train_FD001.txt, line 3: 25 values, expected 26"),
        ("train", f"{LINE}\n1 2 x{LINE[5:]}\n", "train_FD001.txt, line 2: value 3 is 'x', expected a finite"),
        ("train", f"{LINE}\n1 2 nan{LINE[5:]}\n", "line 2: value 3 is 'nan'"),
        ("train", f"{LINE}\n1 2 -inf{LINE[5:]}\n", "line 2: value 3 is '-inf'"),
        ("train", f"{LINE}\n{LINE}\n", "line 2: cycle 1 of engine 1 comes after its cycle 1"),
        ("train", f"1 2{LINE[3:]}\n{LINE}\n", "line 2: cycle 1 of engine 1 comes after its cycle 2"),
        ("train", f"{LINE}\n2{LINE[1:]}\n1 2{LINE[3:]}\n", "line 3: engine 1 again"),
        ("train", f"{LINE}\n", "are too few to hold out"),
        ("train", "".join(f"{unit}{LINE[1:]}\n" for unit in range(1, 5)), "no sensor ever changes"),
        ("RUL", "7\n300\n", "RUL_FD001.txt: 2 remaining lives, expected 3"),
        ("RUL", "7\n-1\n12\n", "RUL_FD001.txt, line 2: -1 cycles"),
        ("RUL", "7\nlong\n12\n", "RUL_FD001.txt, line 2: value 1 is 'long'"),
        ("test", "", "test_FD001.txt: empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str, content: str, expected: str) -> None:
    assert expected in refusal(folder(tmp_path, **{name: content}))


def test_engines_without_a_difference_in_life(tmp_path: Path) -> None:
    assert "all windows have 0 cycles to come" in refusal(folder(tmp_path, train=text(rows((4, 5, 6, 7)))))


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    root = folder(tmp_path)
    whole = gzip.compress((root / "own" / "train_FD001.txt").read_bytes())
    (root / "own" / "train_FD001.txt").unlink()
    assert "train_FD001.txt (or train_FD001.txt.gz) not found" in refusal(root)
    (root / "own" / "train_FD001.txt.gz").write_bytes(whole[:-100])
    assert "not a whole gzip file" in refusal(root)
    (root / "own" / "train_FD001.txt.gz").write_bytes(whole)
    assert len(made(root).splits.test) == 3
    (root / "own" / "RUL_FD001.txt").unlink()
    assert "RUL_FD001.txt" in refusal(root)


@pytest.mark.parametrize(
    "options",
    [
        {"subset": "FD005"},
        {"window": 0},
        {"cap": 0},
        {"draws": 0},
        {"settings": "yes"},
        {"scale": "x"},
        {"max_length": 5},
        {"split_by": "time"},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="window" if "max_length" in options else next(iter(options))):
        CMapss(**options)


def test_the_published_files(real_data: Path) -> None:
    data = CMapss(root=real_data, dataset="cmapss_fd001")
    table = np.loadtxt(
        io.BytesIO(gzip.decompress((real_data / "cmapss_fd001/train_FD001.txt.gz").read_bytes()))
    )
    assert len(table) == 20_631
    lives = np.unique(table[:, 0], return_counts=True)[1]
    assert len(lives) == 100
    engines = data.splits.train.inputs.values.shape[0], data.splits.val.inputs.values.shape[0]
    assert sum(engines) == 20_631
    assert len(data.splits.train) == engines[0] - 90 * 29
    assert len(data.splits.val) == 100
    test = data.splits.test
    assert len(test) == 100 and test.inputs.values.shape[0] == 13_096
    truth = [float(line) for line in (real_data / "cmapss_fd001/RUL_FD001.txt").read_text().split()]
    own = test.targets[:, 0] * data.spec.target_scales[0] + data.spec.target_means[0]
    np.testing.assert_allclose(own.numpy(), truth, rtol=1e-5)
    assert data.spec.input_size == 15
