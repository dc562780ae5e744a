from __future__ import annotations

import gzip
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import torch

from seqsweep.data import Examples, Scan
from seqsweep.data.scan import (
    ACTION_WORDS,
    COMMAND_WORDS,
    LEFT_OUT,
    SIZES,
    Pair,
    all_pairs,
    split_by_primitive,
)
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = all_pairs()


def decoded(examples: Examples) -> list[Pair]:
    assert examples.lengths is not None
    assert examples.target_lengths is not None
    return [
        (
            tuple(COMMAND_WORDS.decode(command[:length].tolist())),
            tuple(ACTION_WORDS.decode(actions.tolist())),
        )
        for command, length, actions in zip(examples.inputs, examples.lengths, examples.targets, strict=True)
    ]


def text(pairs: list[Pair]) -> str:
    return "".join(f"IN: {' '.join(command)} OUT: {' '.join(actions)}\n" for command, actions in pairs)


def write_published(root: Path, split: str = "simple", packed: bool = False) -> tuple[list[Pair], list[Pair]]:
    """Files in the authors' form: the last 4,182 pairs are to test on."""
    size = SIZES[split][1]
    train, test = PAIRS[:-size], PAIRS[-size:]
    (root / "scan").mkdir(parents=True)
    for part, pairs in (("train", train), ("test", test)):
        raw = text(pairs).encode()
        path = root / "scan" / f"tasks_{part}_{split}.txt"
        if packed:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(raw))
        else:
            path.write_bytes(raw)
    return train, test


def test_the_spec_describes_both_vocabularies() -> None:
    spec = Scan().spec
    assert spec.name == "scan_simple"
    assert (spec.vocabulary_size, spec.output_size) == (14, 9)
    assert (spec.max_length, spec.target_max_length) == (9, 49)
    assert spec.class_names[:3] == ("<pad>", "<begin>", "<end>")
    assert (spec.padding_index, spec.begin_index, spec.end_index) == (0, 1, 2)
    assert spec.class_names[3:] == ("I_JUMP", "I_LOOK", "I_RUN", "I_TURN_LEFT", "I_TURN_RIGHT", "I_WALK")


def test_a_drawn_split_is_a_partition_of_all_pairs(tmp_path: Path) -> None:
    data = Scan(root=tmp_path)
    assert data.describe() == {
        "name": "scan_simple",
        "train": 15_728,
        "val": 1_000,
        "test": 4_182,
        "split_source": "drawn",
    }
    parts = [decoded(part) for part in (data.splits.train, data.splits.val, data.splits.test)]
    assert sorted(pair for part in parts for pair in part) == sorted(PAIRS)


def test_a_drawn_split_depends_on_its_seed_only(tmp_path: Path) -> None:
    first = decoded(Scan(root=tmp_path, seed=1).splits.test)
    assert decoded(Scan(root=tmp_path, seed=2).splits.test) == first
    assert decoded(Scan(root=tmp_path, split_seed=1).splits.test) != first


@pytest.mark.parametrize("packed", [False, True])
def test_the_published_files_are_used_where_they_are(tmp_path: Path, packed: bool) -> None:
    train, test = write_published(tmp_path, packed=packed)
    data = Scan(root=tmp_path)
    assert data.used_source == "published"
    assert sorted(decoded(data.splits.test)) == sorted(test)
    held = set(decoded(data.splits.val))
    assert decoded(data.splits.train) == [pair for pair in train if pair not in held]
    assert len(held) == 1000


def test_drawn_passes_over_the_published_files(tmp_path: Path) -> None:
    _, test = write_published(tmp_path)
    data = Scan(root=tmp_path, split_source="drawn")
    assert data.used_source == "drawn"
    assert sorted(decoded(data.splits.test)) != sorted(test)


@pytest.mark.parametrize("split_source", ["auto", "published"])
def test_half_of_the_published_files_is_a_mistake(tmp_path: Path, split_source: str) -> None:
    write_published(tmp_path)
    (tmp_path / "scan" / "tasks_test_simple.txt").unlink()
    with pytest.raises(DataError, match=r"tasks_test_simple\.txt .*not found in .*scan; get it from https"):
        Scan(root=tmp_path, split_source=split_source).setup()


def test_published_without_files_says_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tasks_train_simple\.txt .* SEQSWEEP_DATA"):
        Scan(root=tmp_path, split_source="published").setup()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("IN: jump twice OUT: I_JUMP", "line 2: 'jump twice' means 'I_JUMP I_JUMP', not 'I_JUMP'"),
        ("IN: fly OUT: I_FLY", "line 2: 'fly' is no phrase of SCAN's grammar"),
        ("", "line 2: '' is no phrase of SCAN's grammar"),
        ("jump twice", "line 2: 'jump twice' means"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    write_published(tmp_path)
    path = tmp_path / "scan" / "tasks_train_simple.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(DataError) as raised:
        Scan(root=tmp_path).setup()
    assert str(raised.value).startswith(f"{path}, {message}")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_published(tmp_path)
    path = tmp_path / "scan" / "tasks_test_simple.txt"
    path.write_text(text(PAIRS[:10]))
    with pytest.raises(DataError, match="10 lines, expected 4182"):
        Scan(root=tmp_path).setup()
    path.write_bytes(b"IN: jump\xff OUT: I_JUMP\n")
    with pytest.raises(DataError, match=r"line 1: not utf-8 text \(byte 0xff\)"):
        Scan(root=tmp_path).setup()


def test_targets_end_with_the_end_marker_and_padding() -> None:
    test = Scan().splits.test
    assert test.target_lengths is not None
    places = torch.arange(test.targets.shape[1])
    last = (test.target_lengths - 1).unsqueeze(1)
    assert torch.equal(test.targets == ACTION_WORDS["<end>"], places == last)
    assert torch.equal(test.targets == 0, places > last)
    assert not bool((test.targets == ACTION_WORDS["<begin>"]).any())


def test_training_batches_hardly_need_padding() -> None:
    loader = Scan().train_dataloader()
    batches = list(loader)
    true = sum(int(batch.target_mask.sum()) for batch in batches)
    assert true > 0.9 * sum(batch.targets.numel() for batch in batches)
    assert sum(len(batch) for batch in batches) == 15_728
    for batch in batches[:20]:
        assert batch.target_lengths is not None
        assert batch.targets.shape[1] == int(batch.target_lengths.max())
        assert bool((batch.inputs != 0).eq(batch.mask).all())


def test_validation_and_test_come_shortest_first() -> None:
    splits = Scan().splits
    for part in (splits.val, splits.test):
        assert part.target_lengths is not None
        assert bool((part.target_lengths.diff() >= 0).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "simpel"}, "split=simpel: expected one of simple, .*; did you mean 'simple'"),
        ({"split_source": "here"}, "split_source=here: expected one of auto, published, drawn"),
        ({"validation_size": 16_728}, "validation_size=16728: expected fewer than the 16728 examples"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Scan(**options)


@pytest.mark.parametrize("split", LEFT_OUT)
def test_the_splits_by_primitive_have_the_published_sizes(split: str) -> None:
    train, test = split_by_primitive(PAIRS, LEFT_OUT[split])
    assert (len(train), len(test)) == SIZES[split]
    assert not set(train) & set(test)
    assert set(train) | set(test) == set(PAIRS)


def published(root: Path, part: str, split: str) -> list[Pair]:
    """Read here on its own, so that the reader under test is not its own witness."""
    lines = (
        gzip.decompress((root / "scan" / f"tasks_{part}_{split}.txt.gz").read_bytes()).decode().splitlines()
    )
    halves = [line.removeprefix("IN: ").split(" OUT: ") for line in lines]
    return [(tuple(command.split()), tuple(actions.split())) for command, actions in halves]


def test_the_grammar_gives_the_published_pairs(real_data: Path) -> None:
    train, test = published(real_data, "train", "simple"), published(real_data, "test", "simple")
    assert sorted(PAIRS) == sorted(train + test)


@pytest.mark.parametrize("split", LEFT_OUT)
def test_the_rule_gives_the_published_splits_by_primitive(real_data: Path, split: str) -> None:
    train, test = split_by_primitive(PAIRS, LEFT_OUT[split])
    assert Counter(train) == Counter(published(real_data, "train", split))
    assert Counter(test) == Counter(published(real_data, "test", split))


@pytest.mark.parametrize("split", SIZES)
def test_the_published_files_load(real_data: Path, split: str) -> None:
    data = Scan(root=real_data, split=split)
    assert data.used_source == "published"
    train, val, test = (decoded(part) for part in (data.splits.train, data.splits.val, data.splits.test))
    assert Counter(train + val) == Counter(published(real_data, "train", split))
    assert Counter(test) == Counter(published(real_data, "test", split))
