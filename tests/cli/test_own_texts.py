"""A user's own texts through train, evaluate and predict, and what is refused on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqsweep.cli import main

GERMAN = ["ein Hund läuft .", "eine Katze sitzt .", "zwei Hunde laufen .", "der Hund sitzt ."] * 6
ENGLISH = ["a dog runs .", "a cat sits .", "two dogs run .", "the dog sits ."] * 6
SMALL = ["model.hidden_size=8", "trainer.max_epochs=1"]
KINDS = {
    "files": ["model=seq2seq", "data=translation", "data.train=news", "data.source=de", "data.target=en"],
    "columns": ["model=seq2seq", "data=translation", "data.train=news.tsv", "data.level=character"],
    "words": ["model=lstm", "data=language_modelling", "data.train=poem.txt", "data.batch_size=2"],
    "characters": [
        "model=gru",
        "data=language_modelling",
        "data.train=poem.txt",
        "data.level=character",
        "data.batch_size=2",
        "task.generated_length=7",
        "task.top_k=3",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    (made / "news.de").write_text("\n".join(GERMAN) + "\n", "utf-8")
    (made / "news.en").write_text("\n".join(ENGLISH) + "\n", "utf-8")
    (made / "news.tsv").write_text(
        "".join(f"{de}\t{en}\n" for de, en in zip(GERMAN, ENGLISH, strict=True)), "utf-8"
    )
    (made / "poem.txt").write_text("\n".join(ENGLISH) + "\n")
    (made / "texts").write_text("ein Hund sitzt .\nzwei Katzen laufen .\n", "utf-8")
    return made


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQSWEEP_HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


def said(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_own_texts(home: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    shown = said(capsys, "train", *KINDS[kind], *SMALL)
    run = next(line.split()[1] for line in shown.splitlines() if line.startswith("run:"))
    tested = json.loads(said(capsys, "evaluate", run, "--json"))
    measure = "test/bleu" if "model=seq2seq" in KINDS[kind] else "test/perplexity"
    assert measure in json.dumps(tested)
    lines = said(capsys, "predict", run, "texts").split("\n")
    if "model=seq2seq" in KINDS[kind]:
        assert len(lines) == 3  # a translation a line, and nothing after the last
        return
    assert lines[0].startswith("ein Hund sitzt .")
    if kind == "characters":
        assert len("\n".join(lines)) == len("ein Hund sitzt .\n\nzwei Katzen laufen .\n") + 2 * 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["data.train=gone", "data.source=de", "data.target=en"],
            "data.train=gone.de: there is no such file",
        ),
        (["data.train=news"], "data.train=news: there is no such file"),
        (["data.train=news", "data.source=de"], "data.target=null: expected the end of a file's name"),
        (["data.train=poem.txt"], "poem.txt, line 1: expected 2 columns"),
        (
            ["data.train=news", "data.source=de", "data.target=en", "data.max_length=2"],
            "more than data.max_length=2",
        ),
        (
            ["data.train=news", "data.source=de", "data.target=en", "task.teacher_forcing_end=2"],
            "task.teacher_forcing_end=2: expected a number from 0 to 1",
        ),
        ([], "data.train=null: expected a file to train on"),
    ],
)
def test_a_mistake_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["train", "model=seq2seq", "data=translation", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
