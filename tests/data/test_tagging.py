"""Sentences with a tag a word: files of columns read and written, and every way they can be wrong."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from seqsweep import paths
from seqsweep.data import Examples, Tagging
from seqsweep.data.text import TextCodec
from seqsweep.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

Tagged = list[tuple[str, str]]

SENTENCES: list[Tagged] = [
    [("Ada", "B-PER"), ("Lovelace", "I-PER"), ("wrote", "O")],
    [("in", "O"), ("London", "B-LOC")],
    [("Ada", "B-PER")],
    [("London", "B-LOC"), ("wrote", "O"), ("in", "O"), ("Ada", "B-PER")],
    [("Lovelace", "I-PER"), ("in", "O")],
]

UD = """# sent_id = 1
# text = I'll see, won't I?
1-2\tI'll\t_\t_\t_\t_\t_\t_\t_\t_
1\tI\tI\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2\t'll\twill\tAUX\tMD\t_\t3\taux\t_\t_
3\tsee\tsee\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\tVBN\t_\t_\t_\t_\t_

# sent_id = 2
1\tsee\tsee\tVERB\tVB\t_\t0\troot\t_\t_
2\t2 000\t2000\tNUM\tCD\t_\t1\tobj\t_\t_

"""


def columns(sentences: list[Tagged], between: str = "\t", blank: str = "") -> str:
    return "".join(
        "".join(f"{word}{between}{tag}\n" for word, tag in sentence) + f"{blank}\n" for sentence in sentences
    )


def data(path: Path, **options: Any) -> Tagging:
    return Tagging(train=str(path), **{"min_count": 1, "val_share": 0.2, "test_share": 0.2} | options)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def shown(corpus: Tagging, examples: Examples) -> list[Tagged]:
    """The examples' words and tags, read back from one padded batch."""
    codec = TextCodec.from_plain(corpus.fitted["words"])
    batch = examples.cut(torch.arange(len(examples)))
    words = batch.inputs if batch.inputs.ndim == 2 else batch.inputs[..., 0]
    return [
        [(codec.tokens[word], corpus.spec.class_names[tag]) for word, tag in zip(row[true].tolist(), tags[true].tolist(), strict=True)]
        for row, tags, true in zip(words, batch.targets, batch.mask, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize(("between", "blank"), [("\t", ""), (" ", ""), ("\t", "\t"), ("   ", "  ")])
@pytest.mark.parametrize("packed", [False, True])
def test_columns_however_they_are_kept_apart(tmp_path: Path, between: str, blank: str, packed: bool) -> None:
    path = write(tmp_path / "a.conll", columns(SENTENCES, between, blank))
    if packed:
        path.with_name("a.conll.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    corpus = data(path, split_by="time")
    parts = corpus.splits
    assert shown(corpus, parts.train) == SENTENCES[:3]
    assert [[tag for _, tag in s] for s in shown(corpus, parts.test)] == [["I-PER", "O"]]
    spec = corpus.spec
    assert (spec.kind, spec.per_step, spec.class_names) == ("tagging", True, ("B-LOC", "B-PER", "I-PER", "O"))
    assert spec.class_counts == (1, 2, 1, 2)
    assert spec.character_vocabulary_size is None
    assert corpus.summary() == "a: 3 train, 1 val, 1 test; 4 tags (B-LOC, B-PER, I-PER, O), 7 words"


def test_parts_are_drawn_and_make_up_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", columns(SENTENCES))
    for seed in range(20):  # a tag may by chance be in the test part alone, which is refused
        try:
            corpus = data(path, split_seed=seed)
            parts = corpus.splits
        except DataError:
            continue
        found = [s for part in (parts.train, parts.val, parts.test) for s in shown(corpus, part)]
        assert sorted(len(s) for s in found) == sorted(len(s) for s in SENTENCES)
        return
    pytest.fail("no seed gave parts")


def test_spelling_stands_beside_the_words(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", columns(SENTENCES))
    corpus = data(path, split_by="time", characters=True, max_characters=5, lowercase=True)
    alphabet = TextCodec.from_plain(corpus.fitted["characters"])
    assert corpus.spec.character_vocabulary_size == len(alphabet)
    batch = corpus.splits.train.cut(torch.tensor([0, 2]))
    assert batch.inputs.shape == (2, 3, 6)
    assert [alphabet.decode(word[word > 0].tolist()) for word in batch.inputs[0, :, 1:]] == [
        "Ada",
        "Lovel",
        "wrote",
    ]
    assert not batch.inputs[1, 1:].any()
    assert shown(corpus, corpus.splits.train)[0][0] == ("ada", "B-PER")
    assert "characters" in corpus.summary()


def test_rare_words_are_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", columns(SENTENCES))
    corpus = data(path, split_by="time", min_count=2)
    assert [word for s in shown(corpus, corpus.splits.train) for word, _ in s] == [
        "Ada",
        *["<unk>"] * 4,
        "Ada",
    ]


def test_conllu_leaves_out_what_is_not_a_word(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", UD)
    corpus = data(path)
    first, second = corpus.read(path).items
    assert (first.words, first.tags, first.lines) == (["I", "'ll", "see"], ["PRON", "AUX", "VERB"], [4, 5, 6])
    assert second.words == ["see", "2 000"]
    whole = data(path, val=str(path), test=str(path))
    assert shown(whole, whole.splits.test)[1] == [("see", "VERB"), ("2 000", "NUM")]
    lemmas = data(path, word_column="lemma", tag_column=5).read(path).items[0]
    assert (lemmas.words[1], lemmas.tags[1]) == ("will", "MD")
    assert data(write(tmp_path / "a.txt", UD), format="conllu").read(tmp_path / "a.txt").items[0] == first


def test_columns_comments_and_documents(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\n# a note\nAda NNP I-NP B-PER\nwrote VBD I-VP O\n\n\n\n# x\n#1 NN I-NP O\n"
    path = write(tmp_path / "eng.train", text)
    with pytest.raises(DataError, match=r"eng\.train, line 4: 4 columns, expected 3"):
        data(path).read(path)
    found = data(path, comments="# ").read(path).items
    assert [(s.words, s.tags) for s in found] == [(["Ada", "wrote"], ["B-PER", "O"]), (["#1"], ["O"])]
    assert data(path, comments="# ", tag_column=2).read(path).items[0].tags == ["NNP", "VBD"]
    assert data(path, comments="# ", tag_column=-2).read(path).items[0].tags == ["I-NP", "I-VP"]
    assert data(path, comments="# ", word_column=4, tag_column=1).read(path).items[0].words == ["B-PER", "O"]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("a.conll", "", {}, r"a\.conll: holds no examples"),
        ("a.conll", "\n\t\n", {}, r"a\.conll: holds no examples"),
        ("a.conllu", "# only\n# comments\n", {}, r"a\.conllu: holds no examples"),
        ("a.conll", "a\tX\n\nb\tY\tZ\n", {}, r"a\.conll, line 3: 3 columns, expected 2"),
        ("a.conll", "a X\nb\n", {}, r"a\.conll, line 2: 1 columns, expected 2"),
        ("a.conll", "a\nb\n", {}, r"a\.conll, line 1: expected a word and its tag in different columns"),
        ("a.conll", "a X\n", {"tag_column": 3}, r"line 1: has 2 columns; there is no data\.tag_column=3"),
        ("a.conll", "a\tX\n\tX\n", {}, r"a\.conll, line 2: the word is empty"),
        ("a.conll", "a\tX\nb\t\n", {}, r"a\.conll, line 2: the tag is empty"),
        ("a.conllu", "1\ta\ta\tX\n", {}, r"a\.conllu, line 1: 4 columns, expected 10"),
        ("a.conll", "a X\n\n" * 9, {}, r"a\.conll: 'X' is the only class; expected at least two"),
        ("a.conll", "a X\n\nb Y\n", {}, r"a\.conll: 2 examples are too few"),
        ("a.conll", "a X\nb Y\n\n" * 9, {"max_length": 1}, r"a\.conll, line 1: 2 steps, more than data\.max_length=1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        data(write(tmp_path / name, text), split_by="time", **options).setup()
    assert "\n" not in str(caught.value)


def test_a_tag_that_only_the_test_part_has(tmp_path: Path) -> None:
    train = write(tmp_path / "train.conll", columns(SENTENCES))
    test = write(tmp_path / "test.conll", "Ada B-PER\n\nin O\nLondon B-GPE\n")
    with pytest.raises(DataError, match=r"test\.conll, line 4: 'B-GPE' is not a class of the training part"):
        data(train, split_by="time", test=str(test)).setup()


def test_wrong_encoding_and_half_a_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_bytes("a X\ncafé Y\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.conll, line 2: not utf-8 text .*data\.encoding=latin-1"):
        data(path).setup()
    assert data(path, encoding="latin-1").read(path).items[0].words == ["a", "café"]
    packed = tmp_path / "b.conll.gz"
    packed.write_bytes(gzip.compress(columns(SENTENCES).encode())[:-12])
    with pytest.raises(DataError, match=r"b\.conll\.gz: not a whole gzip file"):
        data(packed).setup()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", columns(SENTENCES))
    assert len(data(path, split_by="time").splits.train) == 3
    write(path, columns(SENTENCES * 2))
    assert len(data(path, split_by="time").splits.train) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "format=xml"),
        ({"min_count": 0}, "min_count=0"),
        ({"max_characters": 0}, "max_characters=0"),
        ({"comments": ""}, "comments="),
        (
            {"format": "conllu", "tag_column": "upps"},
            "tag_column=upps: expected one of .*did you mean 'upos'",
        ),
        ({"format": "conllu", "tag_column": 11}, "tag_column=11"),
        ({"format": "conll", "tag_column": "upos"}, "tag_column=upos: expected a column's number"),
        ({"format": "conll", "word_column": 0}, "word_column=0"),
        ({"split_by": "group"}, "split_by=group: expected one of row, time"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tagging(train="a.conll", **options)


# ---------------------------------------------------------------- what a run was trained with


def trained(tmp_path: Path, name: str, text: str, **options: Any) -> Tagging:
    path = write(tmp_path / name, text)
    made = data(path, val=str(path), test=str(path), **options)
    fresh = data(
        tmp_path / f"gone-{name}", format=made.format if made.format != "auto" else "auto", **options
    )
    fresh.use(json.loads(json.dumps(made.fitted)))
    return fresh


def test_predictions_are_the_last_column(tmp_path: Path) -> None:
    corpus = trained(tmp_path, "a.conll", columns(SENTENCES), characters=True)
    records, examples = corpus.unlabelled(write(tmp_path / "new.conll", "Ada\nsleeps\n\nin\n"))
    assert examples.cut(torch.arange(2)).inputs.shape == (2, 2, 21)
    out = io.StringIO()
    corpus.write(records, [[1, 3], [3]], out)
    assert out.getvalue() == "Ada\tB-PER\nsleeps\tO\n\nin\tO\n\n"
    path = write(tmp_path / "again.conll", out.getvalue())
    assert [s.tags for s in corpus.read(path).items] == [["B-PER", "O"], ["O"]]


def test_true_tags_stand_before_the_predicted_ones(tmp_path: Path) -> None:
    corpus = trained(tmp_path, "a.conll", columns(SENTENCES))
    records, _ = corpus.unlabelled(write(tmp_path / "new.conll", "Ada B-XXX\nsleeps O\n"))
    out = io.StringIO()
    corpus.write(records, [[1, 3]], out)
    assert out.getvalue() == "Ada\tB-XXX\tB-PER\nsleeps\tO\tO\n\n"


def test_universal_dependencies_are_written_whole(tmp_path: Path) -> None:
    corpus = trained(tmp_path, "a.conllu", UD)
    records, _ = corpus.unlabelled(tmp_path / "a.conllu")
    out = io.StringIO()
    corpus.write(records, [[0, 0, 0], [1, 2]], out)
    assert out.getvalue().splitlines()[0] == "1\tI\tI\tPRON\tPRP\t_\t3\tnsubj\t_\t_\tAUX"


def test_words_that_were_cut_off_get_no_tag(tmp_path: Path) -> None:
    corpus = trained(tmp_path, "a.conll", columns(SENTENCES), max_length=1, too_long="cut")
    records, _ = corpus.unlabelled(write(tmp_path / "new.conll", "Ada\nsleeps\n"))
    out = io.StringIO()
    corpus.write(records, [[1]], out)
    assert out.getvalue() == "Ada\tB-PER\nsleeps\t_\n\n"


def test_only_the_test_part_is_loaded_for_a_trained_run(tmp_path: Path) -> None:
    fitted = trained(tmp_path, "a.conll", columns(SENTENCES)).fitted
    test = write(tmp_path / "test.conll", "Ada B-PER\nsleeps O\n")
    corpus = data(tmp_path / "gone.conll", test=str(test))
    corpus.use(fitted)
    parts = corpus.splits
    assert (len(parts.train), len(parts.val), len(parts.test)) == (0, 0, 1)
    assert shown(corpus, parts.test) == [[("Ada", "B-PER"), ("<unk>", "O")]]


# ---------------------------------------------------------------- laws

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)
sentences = st.lists(
    st.lists(st.tuples(words, st.sampled_from("XYZ")), min_size=1, max_size=5), min_size=2, max_size=8
)


@settings(max_examples=15, deadline=None)
@given(sentences, st.booleans())
def test_sentences_come_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Tagged], characters: bool
) -> None:
    drawn = [*drawn, [("a", "X"), ("b", "Y"), ("c", "Z")]]
    path = write(tmp_path_factory.mktemp("law") / "a.conll", columns(drawn))
    corpus = data(path, val=str(path), test=str(path), characters=characters)
    assert shown(corpus, corpus.splits.train) == drawn


# ---------------------------------------------------------------- the published sets


def configured(name: str, root: Path) -> Tagging:
    config = yaml.safe_load((paths.shipped("conf") / "data" / f"{name}.yaml").read_text())
    known = {key: value for key, value in config.items() if key not in ("defaults", "_target_", "seed")}
    return Tagging(**{**known, "root": root})


@pytest.mark.parametrize(
    ("name", "sentences", "words", "tags"),
    [
        ("ewt_pos", (12_544, 2_001, 2_077), (204_577, 25_147, 25_094), 17),
        ("wnut17", (3_394, 1_009, 1_287), (62_730, 15_733, 23_394), 13),
    ],
)
def test_published_sets(
    real_data: Path, name: str, sentences: tuple[int, ...], words: tuple[int, ...], tags: int
) -> None:
    parts = configured(name, real_data).splits
    found = (parts.train, parts.val, parts.test)
    assert tuple(map(len, found)) == sentences
    assert tuple(int(part.inputs.lengths.sum()) for part in found) == words  # type: ignore[union-attr]
    assert len(parts.spec.class_names) == tags


def test_files_are_read_as_the_training_file_is_whatever_they_are_called(tmp_path: Path) -> None:
    row = "{0}\t{1}\t_\t{2}\t_\t_\t0\t_\t_\t_\n"
    sentences = [row.format(1, f"w{n}", "NOUN" if n % 2 else "VERB") + "\n" for n in range(20)]
    made = trained(tmp_path, "own.conllu", "".join(sentences))
    records, _ = made.unlabelled(
        write(tmp_path / "new.txt", row.format(1, "w3", "_") + row.format(2, "w4", "_"))
    )
    assert records.items[0].words == ["w3", "w4"]


def test_a_space_that_cannot_be_broken_at_belongs_to_its_word(tmp_path: Path) -> None:
    corpus = data(write(tmp_path / "own.conll", "100\N{NO-BREAK SPACE}000 B-n\neuros O\n\n" * 12))
    assert "100\N{NO-BREAK SPACE}000" in corpus.fitted["words"]["tokens"]
