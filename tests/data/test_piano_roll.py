from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from seqsweep.data import PianoRoll
from seqsweep.errors import ConfigError, DataError


def pieces(count: int, seed: int = 0, keys: int = 5) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [(random.random((random.integers(2, 9), keys)) < 0.4).astype(np.uint8) for _ in range(count)]


def cell(matrices: list[Any]) -> np.ndarray:
    made = np.empty((1, len(matrices)), dtype=object)
    made[0, :] = matrices
    return made


def saved(path: Path, **parts: Any) -> Path:
    file = io.BytesIO()
    savemat(file, {name: cell(part) if isinstance(part, list) else part for name, part in parts.items()})
    path.write_bytes(gzip.compress(file.getvalue()) if path.suffix == ".gz" else file.getvalue())
    return path


def whole(data: PianoRoll, part: str) -> list[np.ndarray]:
    """The pieces of a part, their inputs and targets put together again."""
    examples = getattr(data.splits, part)
    found = []
    for row in range(len(examples)):
        batch = examples.cut(torch.tensor([row]))
        assert batch.inputs.dtype == torch.float32
        torch.testing.assert_close(batch.inputs[0, 1:].long(), batch.targets[0, :-1])
        found.append(torch.cat([batch.inputs[0, :1].long(), batch.targets[0]]).numpy())
    return found


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return sorted(piece.tolist() for piece in found) == sorted(piece.tolist() for piece in expected)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        _ = PianoRoll(train=str(path), **options).splits
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.mat", "a.mat.gz"])
def test_the_files_own_parts(tmp_path: Path, name: str) -> None:
    parts = {"train": pieces(4), "val": pieces(2, seed=1), "test": pieces(3, seed=2)}
    path = saved(tmp_path / name, traindata=parts["train"], validdata=parts["val"], testdata=parts["test"])
    data = PianoRoll(train=str(path))
    for part, expected in parts.items():
        assert same(whole(data, part), expected)
    spec = data.spec
    assert (spec.kind, spec.per_step, spec.input_size, spec.output_size) == ("music", True, 5, 5)
    assert data.splits.train.inputs.values.dtype == torch.uint8
    assert data.splits.train.inputs.values is data.splits.train.targets.values
    lengths = [len(piece) - 1 for piece in parts["train"]]
    assert data.splits.train.lengths.tolist() == data.splits.train.target_lengths.tolist() == lengths


def test_shares_of_a_file_of_ones_own(tmp_path: Path) -> None:
    own = pieces(20)
    data = PianoRoll(train=str(saved(tmp_path / "a.mat", songs=own)), val_share=0.2)
    found = [whole(data, part) for part in ("train", "val", "test")]
    assert [len(part) for part in found] == [14, 4, 2]
    assert same([piece for part in found for piece in part], own)


def test_other_files_for_other_parts(tmp_path: Path) -> None:
    train = saved(tmp_path / "a.mat", traindata=pieces(6), validdata=pieces(2, seed=1))
    test = saved(tmp_path / "b.mat", traindata=pieces(3, seed=2))
    data = PianoRoll(train=str(train), test=str(test))
    assert same(whole(data, "test"), pieces(3, seed=2))
    assert same(whole(data, "val"), pieces(2, seed=1))
    assert same(whole(data, "train"), pieces(6))
    val = saved(tmp_path / "c.mat", traindata=pieces(3), validdata=pieces(2, seed=7))
    data = PianoRoll(train=str(train), val=str(val), test=str(test))
    assert same(whole(data, "val"), pieces(2, seed=7))


@pytest.mark.parametrize("test", [False, True])
def test_a_run_tests_as_it_was_trained(tmp_path: Path, test: bool) -> None:
    path = saved(tmp_path / "a.mat", traindata=pieces(4), testdata=pieces(3, seed=2))
    fitted = PianoRoll(train=str(path)).fitted
    again = PianoRoll(train=str(path), test=str(path) if test else None)
    again.use(fitted)
    assert same(whole(again, "test"), pieces(3, seed=2))
    assert len(again.splits.train) == 0


def test_predictions(tmp_path: Path) -> None:
    data = PianoRoll(train=str(saved(tmp_path / "a.mat", traindata=pieces(9, keys=2))))
    records, examples = data.unlabelled(
        saved(tmp_path / "b.mat", songs=pieces(1, keys=2) + pieces(1, keys=2))
    )
    steps = examples.cut(torch.arange(2)).inputs.shape[1]
    out = io.StringIO()
    data.write(records, [[[0.25, 0.75]] * steps] * 2, out)
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["piece,frame,key 1,key 2", "songs 1,2,0.250000,0.750000"]
    assert lines[-1] == f"songs 2,{steps + 1},0.250000,0.750000"
    with pytest.raises(DataError, match=r"a\.mat, songs, piece 1: 3 keys, where training has 2"):
        data.unlabelled(saved(tmp_path / "a.mat", songs=pieces(1, keys=3)))


def test_long_pieces_are_refused_or_cut(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", traindata=[np.eye(9)] * 12)
    assert "traindata, piece 1: 8 steps, more than data.max_length=4" in refusal(path, max_length=4)
    data = PianoRoll(train=str(path), max_length=4, too_long="cut")
    assert all(np.array_equal(piece, np.eye(9)[:5]) for piece in whole(data, "train"))
    assert len(PianoRoll(train=str(path), max_length=8).splits.train) == 10


def test_a_changed_file_is_prepared_anew(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", traindata=pieces(12))
    before = whole(PianoRoll(train=str(path)), "train")
    stamp = path.stat().st_mtime_ns
    saved(path, traindata=[1 - piece for piece in pieces(12)])
    os.utime(path, ns=(stamp + 1, stamp + 1))
    after = whole(PianoRoll(train=str(path)), "train")
    assert same([1 - piece for piece in before], after)


def changed(piece: int, frame: int, key: int, value: float) -> list[np.ndarray]:
    made = [matrix.astype(float) for matrix in pieces(5)]
    made[piece][frame, key] = value
    return made


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "no cell array of pieces; expected traindata, each cell a matrix of frames x keys; it has nothing"),
        ({"traindata": np.eye(3)}, "no cell array of pieces; expected traindata, each cell a matrix of "
         "frames x keys; it has traindata"),
        ({"traindata": []}, "no cell array of pieces"),
        ({"traindata": [*pieces(3), *pieces(1, keys=4)]}, "traindata, piece 4: 4 keys, expected 5"),
        ({"traindata": [*pieces(3), "c d e"]}, "traindata, piece 4: text, expected a matrix"),
        ({"traindata": changed(1, 1, 2, np.nan)}, "traindata, piece 2: key 3 of frame 2 is nan, expected 0 or 1"),
        ({"traindata": changed(0, 1, 0, np.inf)}, "traindata, piece 1: key 1 of frame 2 is inf"),
        ({"traindata": changed(0, 0, 0, 0.5)}, "traindata, piece 1: key 1 of frame 1 is 0.5"),
        ({"traindata": [np.ones((1, 5))]}, "traindata, piece 1: 1 frames of 5 keys, expected at least 2"),
        ({"traindata": pieces(2)}, "are too few to hold out"),
        ({"some": pieces(2), "others": pieces(2)}, "cell arrays some, others; expected traindata"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_piece(tmp_path: Path, content: Any, expected: str) -> None:
    assert expected in refusal(saved(tmp_path / "a.mat", **content))


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"")
    assert "a.mat: not a whole MATLAB file" in refusal(path)
    path.write_text("not one at all, but text of more than 128 bytes\n" * 20)
    assert "a.mat: not a whole MATLAB file" in refusal(path)
    content = saved(path, traindata=pieces(20)).read_bytes()
    for cut in (100, 200, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:cut])
        assert "a.mat: not a whole MATLAB file" in refusal(path)
    packed = saved(tmp_path / "b.mat.gz", traindata=pieces(20))
    packed.write_bytes(packed.read_bytes()[:-50])
    assert "not a whole gzip file" in refusal(packed)


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="split_by=time: expected one of row"):
        PianoRoll(train="a.mat", split_by="time")
    with pytest.raises(ConfigError, match="train=null"):
        PianoRoll()


def test_the_chorales(real_data: Path) -> None:
    data = PianoRoll(root=real_data, dataset="jsb_chorales", train="JSB_Chorales.mat")
    sizes = {"train": (229, 13_807), "val": (76, 4_602), "test": (77, 4_725)}
    for part, (count, frames) in sizes.items():
        examples = getattr(data.splits, part)
        assert (len(examples), examples.inputs.values.shape) == (count, (frames, 88))
        assert examples.target_lengths.sum() == frames - count
