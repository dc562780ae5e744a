"""Texts with a label each: every format read and written, what is inferred, and every way a file can be wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep import paths
from seqsweep.data import Examples, TextClassification
from seqsweep.data.labelled_text import table_writer
from seqsweep.data.text import TextCodec
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["good, very good", "bad", "good again", 'so "bad"', "good good", "bad bad", "good", "bad again"]
LABELS = ["1", "0", "1", "0", "1", "0", "1", "0"]
ROWS = list(zip(TEXTS, LABELS, strict=True))


def as_csv(rows: list[tuple[str, str]], delimiter: str = ",", header: tuple[str, ...] | None = None) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *rows] if header else rows)
    return file.getvalue()


FORMS: dict[str, Callable[[], str]] = {
    "rows.csv": lambda: as_csv(ROWS, header=("text", "label")),
    "bare.csv": lambda: as_csv(ROWS),
    "swapped.csv": lambda: as_csv([(label, text) for text, label in ROWS]),
    "rows.tsv": lambda: "".join(f"{label}\t{text}\n" for text, label in ROWS),
    "rows.jsonl": lambda: "".join(
        json.dumps({"sentiment": int(label), "review": text}) + "\n" for text, label in ROWS
    ),
}


def data(path: Path, **options: Any) -> TextClassification:
    return TextClassification(
        train=str(path), **{"min_count": 1, "val_share": 0.2, "test_share": 0.2} | options
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def shown(corpus: TextClassification, examples: Examples) -> list[tuple[str, str]]:
    """The examples' texts and labels."""
    codec = TextCodec.from_plain(corpus.fitted["codec"])
    whole = examples.cut(torch.arange(len(examples)))
    return [
        (codec.decode(row[mask].tolist()), corpus.spec.class_names[int(target)])
        for row, mask, target in zip(whole.inputs, whole.mask, whole.targets, strict=True)
    ]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str, packed: bool) -> None:
    path = write(tmp_path / name, FORMS[name]())
    if packed:
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    corpus = data(path)
    parts = corpus.splits
    assert (len(parts.train), len(parts.val), len(parts.test)) == (4, 2, 2)
    found = [pair for part in (parts.train, parts.val, parts.test) for pair in shown(corpus, part)]
    known = set(corpus.fitted["codec"]["tokens"])
    expected = [
        (" ".join(word if word in known else "<unk>" for word in text.split()), label) for text, label in ROWS
    ]
    assert sorted(found) == sorted(expected)
    spec = corpus.spec
    assert (spec.kind, spec.class_names, spec.class_counts) == ("classification", ("0", "1"), (2, 2))
    assert spec.vocabulary_size == len(known)
    assert corpus.summary().startswith(
        f"{name.partition('.')[0]}: 4 train, 2 val, 2 test; 2 classes (0 2, 1 2)"
    )


def test_label_first_and_a_folder(tmp_path: Path) -> None:
    lines = write(tmp_path / "lines.txt", "A:x one two\nB:y three\n\nA:z four\nB:x five\n")
    corpus = data(lines, format="label_first", label_part="coarse", val_share=0.25, test_share=0.25)
    assert corpus.spec.class_names == ("A", "B")
    assert corpus.read(lines).where == ["line 1", "line 2", "line 4", "line 5"]
    folder = tmp_path / "tongues"
    folder.mkdir()
    write(folder / "Welsh.txt", "Rhys\n\nLlŷr \n")
    (folder / "Czech.txt.gz").write_bytes(gzip.compress(b"Novak\nDvorak\n"))
    write(folder / "notes.md", "not read")
    corpus = data(folder, level="character", val_share=0.25, test_share=0.25)
    records = corpus.read(folder)
    assert list(zip(records.items, records.labels or (), strict=True)) == [
        ("Novak", "Czech"),
        ("Dvorak", "Czech"),
        ("Rhys", "Welsh"),
        ("Llŷr", "Welsh"),
    ]
    assert records.place(3) == f"{folder}, Welsh.txt, line 3"
    assert len(corpus.splits.train) == 2
    assert "character tokens" in corpus.summary()


def test_an_empty_text_is_one_unknown_token(tmp_path: Path) -> None:
    corpus = data(write(tmp_path / "a.csv", "text,label\n,x\na b,y\n,x\na,y\n"), split_by="time")
    assert shown(corpus, corpus.splits.train) == [("<unk>", "x"), ("a b", "y")]
    assert shown(corpus, corpus.splits.val) == [("<unk>", "x")]


def test_a_quoted_text_may_hold_lines_and_in_tsv_a_mark_is_a_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one\ntwo, ""three""",x\nfour,y\nfive\n')
    with pytest.raises(DataError, match=r"a\.csv, line 5: 1 column, expected 2 as above"):
        data(path).read(path)
    records = data(path).read(write(path, 'text,label\n"one\ntwo, ""three""",x\nfour,y\n'))
    assert records.items == ['one\ntwo, "three"', "four"]
    assert records.where == ["line 2", "line 4"]
    path = write(tmp_path / "a.tsv", 'x\t"one\ny\ttwo" three\nx\tfour\n')
    assert data(path).read(path).items == ['"one', 'two" three', "four"]


def test_columns_by_name_and_by_number(tmp_path: Path) -> None:
    wide = write(tmp_path / "wide.csv", "id,stars,words\n1,5,good\n2,1,bad\n3,5,fine\n")
    for text, label in (("words", "stars"), (3, "stars"), ("words", 2)):
        records = data(wide, text_column=text, label_column=label).read(wide)
        assert (records.items, records.labels) == (["good", "bad", "fine"], ["5", "1", "5"])
    two = write(tmp_path / "two.csv", "stars,words\n5,good\n1,bad\n")
    assert data(two, label_column="stars").read(two).items == ["good", "bad"]
    bare = write(tmp_path / "bare.csv", "good,5\nbad,1\n")
    assert data(bare, label_column=2).read(bare).items == ["good", "bad"]
    assert data(bare, text_column=1, label_column=2).read(bare).labels == ["5", "1"]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("a.csv", "", {}, r"a\.csv: holds no examples"),
        ("a.csv", "text,label\n", {}, r"a\.csv: holds no examples"),
        ("a.tsv", "\n\n", {}, r"a\.tsv: holds no examples"),
        ("a.jsonl", "", {}, r"a\.jsonl: holds no examples"),
        ("a.txt", "", {"format": "label_first"}, r"a\.txt: holds no examples"),
        ("a.csv", "text,label\na,x\nb,c,y\n", {}, r"a\.csv, line 3: 3 columns, expected 2 .*in quotes"),
        ("a.tsv", "a\tx\nb\n", {}, r"a\.tsv, line 2: 1 column, expected 2 .*tab"),
        ("a.csv", 'text,label\n"a,x\nb,y\n', {}, r"a\.csv, line 2: not a row of CSV"),
        ("a.csv", "text,label\na,x\nb, \n", {}, r"a\.csv, line 3: the label is empty"),
        ("a.csv", "text,label\n" + "a,x\n" * 9, {}, r"a\.csv: 'x' is the only class; expected at least two"),
        ("a.csv", "text,label\na,x\nb,y\n", {}, r"a\.csv: 2 examples are too few"),
        ("a.csv", "a,x,1\n", {}, r"a\.csv: no header, and 3 columns; say which .*data\.text_column=1"),
        ("a.csv", "words,stars\nb,y\nc,y\n", {}, r"a\.csv, line 1: no other line has the label 'stars'"),
        ("a.csv", "b,text\n1,2\n", {"text_column": "txt"}, r"no column 'txt'; it has b, text; did you mean 'text'"),
        ("a.csv", "a,b\n1,2\n", {"text_column": 3, "label_column": 1}, r"no column '3'; it has 1, 2"),
        ("a.csv", "text,label,b\n1,2,3\n", {"label_column": "c"}, r"there is no column 'c'; it has text, label, b"),
        ("a.csv", "id,words,stars\n1,2,3\n", {"label_column": "stars"}, r"which column is the text\? Name it"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', {}, r"a\.jsonl, line 2: has no 'label'"),
        ("a.jsonl", '{"text": "a", "label": 1}\nb\n', {}, r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", "[1]\n", {}, r"a\.jsonl, line 1: expected an object"),
        ("a.jsonl", '{"text": 1, "label": 1}\n', {}, r"line 1: 'text' is 1, expected a text"),
        ("a.jsonl", '{"text": "a", "label": NaN}\n', {}, r"line 1: 'label' is NaN, expected a text or a whole"),
        ("a.jsonl", '{"text": "a", "label": Infinity}\n', {}, r"line 1: 'label' is Infinity"),
        ("a.jsonl", '{"text": "a", "label": null}\n', {}, r"line 1: 'label' is null"),
        ("a.txt", "x a\ny\n", {"format": "label_first"}, r"a\.txt, line 2: expected a label, ' ' .* not 'y'"),
        ("a.txt", ":b a\n", {"format": "label_first", "label_part": "coarse"}, r"line 1: the label is empty"),
        ("a.txt", "x a\n", {}, r"a\.txt: its name does not say what format .*csv, tsv, jsonl"),
        ("a.txt", "x a\n", {"format": "folder"}, r"a\.txt: expected a folder with one \.txt file a class"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data(write(tmp_path / name, text), **options).setup()
    assert "\n" not in str(caught.value)


def test_wrong_encoding_and_half_a_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\na,x\ncafé,y\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv, line 3: not utf-8 text .*data\.encoding=latin-1"):
        data(path).setup()
    assert data(path, encoding="latin-1").read(path).items == ["a", "café"]
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(FORMS["rows.csv"]().encode())[:-12])
    with pytest.raises(DataError, match=r"b\.csv\.gz: not a whole gzip file"):
        data(packed).setup()


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"folder: holds no \.txt files"):
        data(tmp_path / "folder").setup()


def test_a_label_that_only_the_test_part_has(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", FORMS["rows.csv"]())
    test = write(tmp_path / "test.csv", "text,label\ngood,1\nso so,2\n")
    message = r"test\.csv, line 3: '2' is not a class of the training part, which has 0, 1"
    with pytest.raises(DataError, match=message):
        data(train, test=str(test)).setup()


def test_columns_that_differ_from_trainings(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", FORMS["bare.csv"]())
    test = write(tmp_path / "test.csv", FORMS["swapped.csv"]())
    with pytest.raises(
        DataError, match=r"test\.csv: text and label are in columns 2/1, but in 1/2 in training"
    ):
        data(train, test=str(test)).setup()


def test_a_text_over_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", FORMS["rows.csv"]())
    with pytest.raises(DataError, match=r"a\.csv, line \d: \d steps, more than data\.max_length=1"):
        data(path, max_length=1).setup()
    corpus = data(path, max_length=1, too_long="cut")
    assert corpus.splits.train.cut(torch.arange(4)).inputs.shape == (4, 1)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", FORMS["rows.csv"]())
    assert len(data(path).splits.train) == 4
    write(path, FORMS["rows.csv"]() + "good,1\nbad,0\n" * 10)
    assert len(data(path).splits.train) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "format=xml"),
        ({"level": "letter"}, "level=letter"),
        ({"words": "x"}, "words=x"),
        ({"min_count": 0}, "min_count=0"),
        ({"label_part": "half"}, "label_part=half"),
        ({"label_separator": ""}, "label_separator="),
        ({"split_by": "group"}, "split_by=group: expected one of row, time"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextClassification(train="a.csv", **options)


# ---------------------------------------------------------------- what a run was trained with


def said(classes: list[int]) -> list[dict[str, Any]]:
    return [
        {"class": number, "probabilities": [0.75 - 0.5 * number, 0.25 + 0.5 * number]} for number in classes
    ]


@pytest.mark.parametrize("name", FORMS)
def test_predictions_are_written_in_the_files_form(tmp_path: Path, name: str) -> None:
    trained = data(write(tmp_path / name, FORMS[name]()))
    fresh = data(tmp_path / "gone.csv")
    fresh.use(json.loads(json.dumps(trained.fitted)))
    records, examples = fresh.unlabelled(write(tmp_path / f"new_{name}", FORMS[name]()))
    assert records.items == TEXTS
    assert len(examples) == len(TEXTS)
    out = io.StringIO()
    fresh.write(records, said([int(label) for label in LABELS]), out)
    again = write(tmp_path / f"out_{name}", out.getvalue())
    found = data(again, text_column=None).read(again)
    assert found.items == TEXTS
    assert found.labels == LABELS
    assert "0.75" in out.getvalue()


def test_a_file_without_labels(tmp_path: Path) -> None:
    for name, text in (
        ("rows.csv", "id,text\n1,good\n2,bad\n"),
        ("bare.csv", "good\nbad\n"),
        ("rows.jsonl", '{"review": "good"}\n{"review": "bad"}\n'),
    ):
        trained = data(write(tmp_path / name, FORMS[name]()))
        records, _ = trained.unlabelled(write(tmp_path / f"new_{name}", text))
        assert records.items == ["good", "bad"]
    with pytest.raises(DataError, match=r"new_empty\.csv: holds no examples"):
        trained.unlabelled(write(tmp_path / "new_empty.csv", ""))


def test_lines_without_their_label_or_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x one\ny two\nx three\ny four\n")
    trained = data(path, format="label_first", val_share=0.25, test_share=0.25)
    _ = trained.spec
    assert trained.unlabelled(path)[0].items == ["one", "two", "three", "four"]
    records, _ = trained.unlabelled(write(tmp_path / "b.txt", "x one\ntwo\n"))
    assert records.items == ["x one", "two"]
    out = io.StringIO()
    trained.write(records, said([1, 0]), out)
    assert out.getvalue() == "y x one\nx two\n"


def test_a_folders_run_predicts_a_file_of_lines(tmp_path: Path) -> None:
    folder = tmp_path / "tongues"
    folder.mkdir()
    for name in ("A", "B"):
        write(folder / f"{name}.txt", "ab\nba\n")
    trained = data(folder, format="folder", level="character", val_share=0.25, test_share=0.25)
    _ = trained.spec
    records, _ = trained.unlabelled(write(tmp_path / "new.txt", "ab\nb, a\n"))
    out = io.StringIO()
    trained.write(records, said([1, 0]), out)
    assert out.getvalue() == '"text","label","probability"\n"ab","B",0.75\n"b, a","A",0.75\n'


def test_only_the_test_part_is_loaded_for_a_trained_run(tmp_path: Path) -> None:
    trained = data(write(tmp_path / "train.csv", FORMS["rows.csv"]()))
    test = write(tmp_path / "test.csv", "text,label\ngood,1\nunheard of,0\nbad,0\n")
    other = data(tmp_path / "gone.csv", test=str(test))
    other.use(json.loads(json.dumps(trained.fitted)))
    parts = other.splits
    assert (len(parts.train), len(parts.val), len(parts.test)) == (0, 0, 3)
    assert parts.spec.class_names == trained.spec.class_names
    assert shown(other, parts.test)[1] == ("<unk> <unk>", "0")


# ---------------------------------------------------------------- laws

cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cells, st.sampled_from(["x", "y"])), min_size=1))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("law") / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table_writer(file, "csv").writerows([("text", "label"), *rows])
    found = data(path).read(path)
    assert found.items == [text for text, _ in rows]
    assert found.labels == [label for _, label in rows]


@settings(max_examples=20, deadline=None)
@given(st.lists(cells.filter(str.strip), min_size=8, max_size=30), st.sampled_from(["word", "character"]))
def test_texts_of_training_come_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], level: str
) -> None:
    path = tmp_path_factory.mktemp("law") / "a.jsonl"
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
    write(path, "".join(json.dumps(row) + "\n" for row in rows))
    corpus = data(path, level=level, val=str(path), test=str(path))
    expected = [" ".join(text.split()) if level == "word" else text for text in texts]
    assert [text for text, _ in shown(corpus, corpus.splits.train)] == expected
    assert np.bincount(corpus.splits.test.targets).tolist() == list(corpus.spec.class_counts)


# ---------------------------------------------------------------- the published sets


@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("trec", (4_907, 545, 500), 6),
        ("sst2", (6_920, 872, 1_821), 2),
        ("sst5", (8_544, 1_101, 2_210), 5),
        ("sms_spam", (4_460, 557, 557), 2),
        ("names", (16_040, 2_005, 2_005), 18),
    ],
)
def test_published_sets(real_data: Path, name: str, rows: tuple[int, ...], classes: int) -> None:
    corpus = configured(name, real_data)
    parts = corpus.splits
    assert (len(parts.train), len(parts.val), len(parts.test)) == rows
    assert len(parts.spec.class_names) == classes


def test_trecs_fine_classes_and_its_encoding(real_data: Path) -> None:
    fine = configured("trec", real_data, label_part="whole")
    assert len({*fine.read(real_data / "trec" / "TREC.train").labels}) == 50  # type: ignore[misc]
    with pytest.raises(DataError, match=r"TREC\.train, line 66: not utf-8 text .*data\.encoding=latin-1"):
        configured("trec", real_data, encoding="utf-8").setup()


def test_how_many_of_the_messages_are_spam(real_data: Path) -> None:
    records = configured("sms_spam", real_data).read(real_data / "sms_spam" / "SMSSpamCollection")
    assert records.labels is not None
    assert (records.labels.count("ham"), records.labels.count("spam")) == (4_827, 747)


def configured(name: str, root: Path, **options: Any) -> TextClassification:
    config = yaml.safe_load((paths.shipped("conf") / "data" / f"{name}.yaml").read_text())
    known = {key: value for key, value in config.items() if key not in ("defaults", "_target_", "seed")}
    return TextClassification(**{**known, "root": root, **options})


def test_a_header_is_no_example_though_columns_have_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{'ham' if n % 2 else 'spam'},text {n}\n" for n in range(20))
    path = write(tmp_path / "own.csv", "v1,v2\n" + rows)
    with pytest.raises(DataError, match=r"line 1: no other line has the label 'v1'; if this is a header"):
        data(path, text_column=2, label_column=1).setup()


def test_a_folders_run_and_json_lines(tmp_path: Path) -> None:
    folder = tmp_path / "tongues"
    folder.mkdir()
    for name in ("A", "B"):
        write(folder / f"{name}.txt", "ab\nba\n")
    made = data(folder, level="character", val_share=0.25, test_share=0.25)
    _ = made.spec
    records, _ = made.unlabelled(write(tmp_path / "new.jsonl", '{"text": "ab"}\n'))
    assert records.items == ["ab"]
    with pytest.raises(DataError, match="say which is the text"):
        made.unlabelled(write(tmp_path / "odd.jsonl", '{"words": "ab"}\n'))


def test_a_class_of_one_example_is_trained_on(tmp_path: Path) -> None:
    rows = [("text", "common")] * 30 + [(f"rare {n}", f"r{n}") for n in range(10)]
    path = write(tmp_path / "own.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    assert data(path, val_share=0.1, test_share=0.1).spec.output_size == 11


def test_utf_16_is_told_from_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text,label\na,x\nb,y\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"if it is UTF-16, data\.encoding=utf-16 reads it"):
        data(path).setup()
