"""Pairs of texts, from aligned files and from columns."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep.data import Batches, Examples, Translation
from seqsweep.data.jagged import Jagged
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

GERMAN = ["ein Hund läuft", "eine Katze", "zwei Hunde laufen .", "der Hund"] * 5
ENGLISH = ["a dog runs", "a cat", "two dogs run .", "the dog"] * 5
MULTI30K: dict[str, Any] = {
    "dataset": "multi30k",
    "train": "train",
    "val": "val",
    "test": "test_2016_flickr",
    "source": "de",
    "target": "en",
    "words": "punctuation",
    "lowercase": True,
    "min_count": 2,
}


def written(folder: Path, german: list[str], english: list[str], name: str = "news") -> str:
    for end, lines in (("de", german), ("en", english)):
        (folder / f"{name}.{end}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(folder / name)


def aligned(
    folder: Path, german: list[str] = GERMAN, english: list[str] = ENGLISH, **options: Any
) -> Translation:
    return Translation(train=written(folder, german, english), source="de", target="en", **options)


def columns(folder: Path, text: str, **options: Any) -> Translation:
    (folder / "news.tsv").write_text(text, "utf-8")
    return Translation(train=str(folder / "news.tsv"), **options)


def texts(data: Translation, part: Examples) -> list[tuple[str, str]]:
    """What the model is given and is to say, without the end marker."""
    spec, found = data.spec, []
    for row in range(len(part)):
        batch = part.cut(torch.tensor([row]))
        assert batch.targets[0, -1] == spec.end_index
        found.append(
            (
                " ".join(spec.input_names[token] for token in batch.inputs[0]),
                " ".join(spec.class_names[token] for token in batch.targets[0, :-1]),
            )
        )
    return found


def refused(data: Translation, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data.setup()
    assert "\n" not in str(caught.value)


def test_two_files_and_one_of_columns_hold_the_same(tmp_path: Path) -> None:
    two = aligned(tmp_path)
    one = columns(tmp_path, "".join(f"{de}\t{en}\n" for de, en in zip(GERMAN, ENGLISH, strict=True)))
    for data in (two, one):
        parts = [texts(data, part) for part in (data.splits.train, data.splits.val, data.splits.test)]
        assert [len(part) for part in parts] == [16, 2, 2]
        assert sorted(pair for part in parts for pair in part) == sorted(zip(GERMAN, ENGLISH, strict=True))
    assert two.spec == one.spec
    assert (two.spec.kind, two.spec.level) == ("seq2seq", "word")
    assert (two.spec.max_length, two.spec.target_max_length) == (4, 5)
    assert "12 source and 13 target tokens (word), texts of up to 4 and 4" in two.summary()


def test_the_direction_turns_round(tmp_path: Path) -> None:
    data = Translation(train=written(tmp_path, GERMAN, ENGLISH), source="en", target="de")
    assert set(texts(data, data.splits.train)) <= set(zip(ENGLISH, GERMAN, strict=True))


def test_a_compressed_pair(tmp_path: Path) -> None:
    name = written(tmp_path, GERMAN, ENGLISH)
    for end in ("de", "en"):
        plain = tmp_path / f"news.{end}"
        (tmp_path / f"news.{end}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    assert len(Translation(train=name, source="de", target="en").splits.train) == 16


@pytest.mark.parametrize("level", ["word", "character", "subword"])
def test_texts_come_back_from_their_tokens(tmp_path: Path, level: str) -> None:
    data = aligned(tmp_path, level=level, split_by="time")
    records, examples = data.unlabelled(tmp_path / "news.de")
    assert len(records) == len(examples) == 20
    answers = [
        target[:-1].tolist()
        for target in (data.splits.train.cut(torch.tensor([row])).targets[0] for row in range(16))
    ]
    file = io.StringIO()
    data.write(records, answers, file)
    assert file.getvalue().splitlines() == ENGLISH[:16]


def test_unknown_words_stay_to_be_seen(tmp_path: Path) -> None:
    data = aligned(
        tmp_path, [*GERMAN, "selten"], [*ENGLISH, "rare"], min_count=2, split_by="time", test_share=0.01
    )
    assert texts(data, data.splits.test) == [("<unk>", "<unk>")]
    file = io.StringIO()
    data.write(data.unlabelled(tmp_path / "news.de")[0], [[data.spec.class_names.index("<unk>")]], file)
    assert file.getvalue() == "<unk>\n"


def test_a_shared_vocabulary(tmp_path: Path) -> None:
    data = aligned(tmp_path, level="subword", shared_vocabulary=True, vocabulary_size=40)
    assert data.spec.input_names == data.spec.class_names
    assert data.spec.vocabulary_size == data.spec.output_size <= 40
    assert aligned(tmp_path).spec.input_names != aligned(tmp_path).spec.class_names


def test_what_a_run_learnt_is_applied_again(tmp_path: Path) -> None:
    data = aligned(tmp_path)
    written(tmp_path, ["ein Pferd läuft"], ["a horse runs"], name="other")
    again = Translation(train="gone", test=str(tmp_path / "other"), source="de", target="en")
    again.use(data.fitted)
    assert texts(again, again.splits.test) == [("ein <unk> läuft", "a <unk> runs")]
    assert again.spec.class_names == data.spec.class_names


def test_unequal_files(tmp_path: Path) -> None:
    refused(
        aligned(tmp_path, GERMAN, ENGLISH[:-1]),
        r"news\.de: 20 lines, but news\.en has 19; expected a translation for each line",
    )


def test_a_missing_half(tmp_path: Path) -> None:
    data = aligned(tmp_path)
    (tmp_path / "news.en").unlink()
    refused(data, r"news\.en: there is no such file, which data\.target=en puts beside news\.de")
    (tmp_path / "news.de").unlink()
    refused(data, r"data\.train=\S*news\.de: there is no such file")


def test_empty_lines(tmp_path: Path) -> None:
    german, english = [*GERMAN, "", "nichts"], [*ENGLISH, "", " "]
    refused(
        aligned(tmp_path, german, english),
        r"news\.de, line 21: nothing to .*\(2 such lines in all\); data\.empty=drop",
    )
    data = aligned(tmp_path, german, english, empty="drop")
    assert data.describe()["train"] == 16
    assert "2 training pairs with an empty side left out" in data.summary()
    refused(columns(tmp_path, "a\tb\n\nc\td\n"), r"news\.tsv, line 2: nothing to translate")
    with pytest.raises(DataError, match="line 21: nothing to translate"):
        data.unlabelled(tmp_path / "news.de")  # there has to be an answer for each line


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    refused(aligned(tmp_path, [], []), r"news\.de: holds no examples")
    refused(columns(tmp_path, ""), r"news\.tsv: holds no examples")
    refused(columns(tmp_path, "eins\tone\nzwei\ttwo\n"), "too few to hold out")


def test_ragged_rows(tmp_path: Path) -> None:
    refused(columns(tmp_path, "eins\tone\nzwei two\n"), r"news\.tsv, line 2: expected 2 columns.*found 1")
    refused(columns(tmp_path, "eins\tone\nzwei\ttwo\t2\n"), r"line 2: .*found 3")


def test_another_encoding(tmp_path: Path) -> None:
    data = aligned(tmp_path)
    (tmp_path / "news.de").write_bytes("\n".join(GERMAN).encode("latin-1"))
    refused(data, r"news\.de, line 1: not utf-8 text \(byte 0xe4\).*data\.encoding=latin-1")
    (tmp_path / "news.en").write_bytes("\n".join(ENGLISH).encode("latin-1"))
    assert (
        "läuft"
        in Translation(train=data.train, source="de", target="en", encoding="latin-1").spec.input_names
    )


def test_a_broken_archive(tmp_path: Path) -> None:
    name = written(tmp_path, GERMAN, ENGLISH)
    whole = gzip.compress((tmp_path / "news.en").read_bytes())
    (tmp_path / "news.en").unlink()
    (tmp_path / "news.en.gz").write_bytes(whole[:-9])
    refused(Translation(train=name, source="de", target="en"), r"news\.en\.gz: not a whole gzip file")


def test_long_texts(tmp_path: Path) -> None:
    refused(
        aligned(tmp_path, max_length=3), r"news\.de, line \d+, source: 4 steps, more than data\.max_length=3"
    )
    data = aligned(tmp_path, max_length=3, too_long="cut")
    assert ("zwei Hunde laufen", "two dogs run") in texts(data, data.splits.train)
    assert (data.spec.max_length, data.spec.target_max_length) == (3, 4)


@pytest.mark.parametrize("end", ["de", "en"])
def test_either_file_may_change(tmp_path: Path, end: str) -> None:
    assert len(aligned(tmp_path).splits.train) == 16
    for other in ("de", "en"):
        with (tmp_path / f"news.{other}").open("a") as file:
            file.write("mehr\n")
    assert len(Translation(train=str(tmp_path / "news"), source="de", target="en").splits.train) == 17
    (tmp_path / f"news.{end}").write_text("x\n" * 21)
    data = Translation(train=str(tmp_path / "news"), source="de", target="en")
    assert "x" in (data.spec.input_names if end == "de" else data.spec.class_names)


def test_wrong_arguments(tmp_path: Path) -> None:
    for options, message in (
        ({"source": "de"}, "target=null: expected the end of a file's name, as source=de is"),
        ({"target": "en"}, "source=null: expected the end"),
        ({"empty": "keep"}, "empty=keep: expected one of refuse, drop"),
        ({"split_by": "group"}, "split_by=group: expected one of row, time"),
    ):
        with pytest.raises(ConfigError, match=message):
            Translation(train=str(tmp_path / "news"), **options)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=60),
    size=st.integers(1, 9),
)
def test_batches_of_like_length_hold_every_pair_once(pairs: list[tuple[int, int]], size: int) -> None:
    def side(place: int) -> Jagged:
        lengths = torch.tensor([pair[place] for pair in pairs])
        return Jagged.of(torch.arange(1, int(lengths.sum()) + 1), lengths)

    found = []
    for batch in Batches(Examples(side(0), side(1)), size, shuffle=True):
        found += list(zip(batch.mask.sum(1).tolist(), batch.target_mask.sum(1).tolist(), strict=True))
    assert sorted(found) == sorted(pairs)


def test_multi30k_and_how_little_padding_buckets_leave(real_data: Path) -> None:
    data = Translation(root=real_data, **MULTI30K)
    assert data.describe() == {"name": "multi30k", "train": 29_000, "val": 1_014, "test": 1_000}
    assert texts(data, data.splits.test)[0][1].startswith("a man in an orange hat")
    for batch_size in (32, 64, 128):
        cells = true = 0
        data.batch_size = batch_size
        for batch in data.train_dataloader():
            cells += batch.inputs.numel() + batch.targets.numel()
            true += int(batch.mask.sum() + batch.target_mask.sum())
        assert 1 - true / cells <= 0.05
