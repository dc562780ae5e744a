"""Plain text as one long sequence."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data import Examples, LanguageModelling
from seqsweep.data.jagged import Jagged
from seqsweep.data.language_modelling import END_OF_LINE
from seqsweep.data.text import join
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

VERSE = "the cat sat\non the mat\n\nand the dog ran\n" * 10


def poem(folder: Path, text: str = VERSE, **options: Any) -> LanguageModelling:
    (folder / "poem.txt").write_text(text, "utf-8")
    return LanguageModelling(train=str(folder / "poem.txt"), **{"batch_size": 2} | options)


def tokens(data: LanguageModelling, part: Examples) -> list[str]:
    assert isinstance(part.inputs, Jagged)
    length = int(part.inputs.lengths)
    return [data.spec.class_names[token] for token in part.inputs.values[: length + 1].tolist()]


def refused(data: LanguageModelling, message: str, error: type[Exception] = DataError) -> None:
    with pytest.raises(error, match=message) as caught:
        data.setup()
    assert "\n" not in str(caught.value)


def parts(data: LanguageModelling) -> list[str]:
    splits = data.splits
    return [token for part in (splits.train, splits.val, splits.test) for token in tokens(data, part)]


def test_every_line_ends_with_its_mark(tmp_path: Path) -> None:
    data = poem(tmp_path)
    assert parts(data)[:11] == [
        "the",
        "cat",
        "sat",
        "<eos>",
        "on",
        "the",
        "mat",
        "<eos>",
        "<eos>",
        "and",
        "the",
    ]
    assert data.spec.kind == "language_modelling"
    assert (
        data.spec.vocabulary_size == data.spec.output_size == 2 + 1 + 8
    )  # padding, unknown; line's end; words
    assert "10 different ones" in data.summary()


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\r\ufeff"), min_size=40
    )
)
def test_the_parts_are_the_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    data = poem(tmp_path_factory.mktemp("text"), text, level="character")
    known = set(tokens(data, data.splits.train))
    assert join(parts(data), "character") == "".join(sign if sign in known else "<unk>" for sign in text)
    assert sum(int(data.describe()[part]) for part in ("train", "val", "test")) == len(text)


@pytest.mark.parametrize("level", ["word", "subword"])
def test_lines_come_back_from_their_tokens(tmp_path: Path, level: str) -> None:
    found = parts(poem(tmp_path, level=level))
    ends = [place for place, token in enumerate(found) if token == END_OF_LINE]
    lines = [join(found[start + 1 : end], level) for start, end in zip([-1, *ends[:-1]], ends, strict=True)]
    assert lines == VERSE.splitlines()


def test_batches_go_on_where_the_ones_before_ended(tmp_path: Path) -> None:
    data = poem(tmp_path, batch_size=3, bptt=4, eval_batch_size=2)
    batches = list(data.train_dataloader())
    rows = torch.cat([batch.inputs for batch in batches], dim=1)
    assert batches[0].inputs.shape == (3, 4)
    assert [data.spec.class_names[token] for token in rows.flatten()] == tokens(data, data.splits.train)[
        : rows.numel()
    ]
    read = sum(batch.inputs.numel() for batch in data.val_dataloader())
    assert read == int(data.describe()["val"]) - 1  # nothing stands before the first


def test_prompts_and_how_they_go_on(tmp_path: Path) -> None:
    for level, written in (("word", "the cat ran\n\nand ran\n"), ("character", "the catran\n\nandran\n")):
        data = poem(tmp_path, level=level)
        (tmp_path / "prompts.txt").write_text("the cat\nand\n")
        records, examples = data.unlabelled(tmp_path / "prompts.txt")
        batch = examples.cut(torch.arange(2))
        assert batch.lengths is not None
        assert batch.lengths.tolist() == ([2, 1] if level == "word" else [7, 3])
        index = [data.spec.class_names.index(token) for token in (["ran"] if level == "word" else "ran")]
        file = io.StringIO()
        data.write(records, [index, index], file)
        assert file.getvalue() == written
    (tmp_path / "prompts.txt").write_text("the cat\n\nand\n")
    with pytest.raises(DataError, match=r"prompts\.txt, line 2: empty, expected the beginning of a text"):
        data.unlabelled(tmp_path / "prompts.txt")


def test_prompts_over_the_limit(tmp_path: Path) -> None:
    data = poem(tmp_path, max_length=1)
    with pytest.raises(DataError, match=r"poem\.txt, line 1: 3 steps, more than data\.max_length=1"):
        data.unlabelled(tmp_path / "poem.txt")


def test_what_a_run_learnt_is_applied_again(tmp_path: Path) -> None:
    data = poem(tmp_path)
    (tmp_path / "other.txt").write_text("the horse ran")
    again = LanguageModelling(train="gone", test=str(tmp_path / "other.txt"))
    again.use(data.fitted)
    assert tokens(again, again.splits.test) == ["the", "<unk>", "ran", "<eos>"]
    assert again.spec == data.spec.__class__(**{**data.spec.__dict__, "name": again.spec.name})
    assert [batch.inputs.numel() for batch in again.test_dataloader()] == [3]


@pytest.mark.parametrize("level", ["word", "character"])
def test_bad_files(tmp_path: Path, level: str) -> None:
    refused(poem(tmp_path, "", level=level), r"poem\.txt: holds no examples")
    refused(
        poem(tmp_path, "a\n", level=level), "too few to hold out|too few to predict|none to predict after"
    )
    (tmp_path / "latin.txt").write_bytes("Zürich\n".encode("latin-1") * 40)
    latin = {"train": str(tmp_path / "latin.txt"), "level": level, "batch_size": 2}
    refused(LanguageModelling(**latin), r"latin\.txt, line 1: not utf-8 text.*data\.encoding=latin-1")
    assert (
        "Zürich"[1 if level == "character" else slice(None)]
        in LanguageModelling(**latin, encoding="latin-1").spec.class_names
    )
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(VERSE.encode())[:-9])
    refused(
        LanguageModelling(train=str(tmp_path / "cut.txt"), level=level),
        r"cut\.txt\.gz: not a whole gzip file",
    )
    refused(
        LanguageModelling(train=str(tmp_path / "gone.txt"), level=level),
        r"data\.train=.*there is no such file",
    )


def test_a_text_shorter_than_the_batch(tmp_path: Path) -> None:
    refused(
        poem(tmp_path, batch_size=500),
        r"data\.batch_size=500: expected less than 112, the tokens",
        ConfigError,
    )


def test_a_file_that_changed(tmp_path: Path) -> None:
    assert "bird" not in poem(tmp_path).spec.class_names
    assert "bird" in poem(tmp_path, "bird " + VERSE).spec.class_names


def test_wrong_arguments(tmp_path: Path) -> None:
    for options, message in (
        ({"bptt": 0}, "bptt=0: expected an integer of at least 1"),
        ({"split_by": "row"}, "split_by=row: expected one of time"),
    ):
        with pytest.raises(ConfigError, match=message):
            poem(tmp_path, **options)


def test_wikitext2(real_data: Path) -> None:
    files = {"train": "train.txt", "val": "valid.txt", "test": "test.txt"}
    data = LanguageModelling(root=real_data, dataset="wikitext2", **files)
    assert data.describe() == {"name": "wikitext2", "train": 2_088_628, "val": 217_646, "test": 245_569}
    assert data.spec.output_size == 33_278 + 1  # and padding


def test_tinyshakespeare(real_data: Path) -> None:
    data = LanguageModelling(
        root=real_data,
        dataset="tinyshakespeare",
        train="input.txt",
        level="character",
        val_share=0.05,
        test_share=0.05,
    )
    assert data.describe() == {"name": "tinyshakespeare", "train": 1_003_854, "val": 55_770, "test": 55_770}
    assert data.spec.output_size == 65 + 2  # padding and unknown
