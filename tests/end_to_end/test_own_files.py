"""A tiny file of each kind goes through train, evaluate, reproduce and predict on the command line."""

from __future__ import annotations

import json
import math
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from seqsweep import paths
from seqsweep.cli import main

DRAW = np.random.default_rng(0)


@dataclass(frozen=True)
class Own:
    """Files of one kind: what trains on them, and what there is to predict for, with how many answers."""

    train: list[str]
    asked: Path
    answers: int
    model: str = "gru"


def text_classification(folder: Path) -> Own:
    rows = [
        f"{'lovely' if row % 2 else 'awful'} day {row},{'good' if row % 2 else 'bad'}" for row in range(40)
    ]
    (folder / "own.csv").write_text("\n".join(["text,label", *rows]))
    (folder / "asked.csv").write_text("text\nan awful day\na lovely day\n")
    return Own([f"data.train={folder / 'own.csv'}"], folder / "asked.csv", 2)


def tagging(folder: Path) -> Own:
    sentences = [f"Ann\tB-person\nsleeps\tO\nnear\tO\n{town}\tB-place\n" for town in ("Rome", "Oslo") * 15]
    (folder / "own.conll").write_text("\n".join(sentences))
    (folder / "asked.conll").write_text("Ann\nwakes\n\nOslo\nsleeps\n")
    return Own([f"data.train={folder / 'own.conll'}"], folder / "asked.conll", 4)


def language_modelling(folder: Path) -> Own:
    (folder / "own.txt").write_text("the cat sat on the mat . the dog sat on the cat .\n" * 60)
    (folder / "asked.txt").write_text("the cat\nthe dog sat\n")
    return Own([f"data.train={folder / 'own.txt'}", "data.batch_size=4"], folder / "asked.txt", 2, "lstm")


def translation(folder: Path) -> Own:
    numbers = {"eins": "one", "zwei": "two", "drei": "three"}
    pairs = [(f"{a} {b}", f"{numbers[a]} {numbers[b]}") for a in numbers for b in numbers] * 5
    (folder / "own.tsv").write_text("".join(f"{left}\t{right}\n" for left, right in pairs))
    (folder / "asked.txt").write_text("eins zwei\ndrei\ndrei eins\n")
    return Own([f"data.train={folder / 'own.tsv'}"], folder / "asked.txt", 3, "seq2seq")


def csv_classification(folder: Path) -> Own:
    return _table(folder, lambda level: "high" if level > 0 else "low")


def csv_regression(folder: Path) -> Own:
    return _table(folder, lambda level: f"{3 * level + 1:.4f}")


def _table(folder: Path, target: Callable[[float], str]) -> Own:
    rows, asked = ["id,time,x,y,target"], ["id,time,x,y"]
    for number in range(40):
        level = 1.0 if number % 2 else -1.0
        for step in range(3 + number % 4):
            values = f"{number},{step},{level + DRAW.normal() / 5:.4f},{DRAW.normal():.4f}"
            rows.append(f"{values},{target(level)}")
            asked += [values] if number < 3 else []
    (folder / "own.csv").write_text("\n".join(rows))
    (folder / "asked.csv").write_text("\n".join(asked))
    return Own([f"data.train={folder / 'own.csv'}"], folder / "asked.csv", 3)


def csv_forecasting(folder: Path) -> Own:
    days = np.arange("2024-01-01", "2024-08-01", dtype="datetime64[D]")
    rows = [f"{day},{math.sin(place / 3):.4f},{place % 7}" for place, day in enumerate(days)]
    (folder / "own.csv").write_text("\n".join(["date,wave,week", *rows]))
    (folder / "asked.csv").write_text("\n".join(["date,wave,week", *rows[-12:]]))
    options = ["data.context=12", "data.horizon=4"]
    return Own([f"data.train={folder / 'own.csv'}", *options], folder / "asked.csv", 4)


def ts_classification(folder: Path) -> Own:
    head = "@problemName own\n@univariate false\n@dimensions 2\n@classLabel true up down\n@data\n"
    cases = []
    for number in range(30):
        steps = np.linspace(0, 1, 4 + number % 3) * (1 if number % 2 else -1)
        channels = [",".join(f"{value + DRAW.normal() / 10:.3f}" for value in steps) for _ in range(2)]
        cases.append(":".join([*channels, "up" if number % 2 else "down"]))
    (folder / "own.ts").write_text(head + "\n".join(cases))
    (folder / "asked.ts").write_text(head + "\n".join(cases[:5]))
    return Own([f"data.train={folder / 'own.ts'}"], folder / "asked.ts", 5)


def audio_classification(folder: Path) -> Own:
    for number in range(20):
        pitch = "high" if number % 2 else "low"
        (folder / "own" / pitch).mkdir(parents=True, exist_ok=True)
        _tone(folder / "own" / pitch / f"{number}.wav", 2000 if number % 2 else 300)
    (folder / "asked").mkdir()
    for name in ("a.wav", "b.wav"):
        _tone(folder / "asked" / name, 500)
    return Own([f"data.train={folder / 'own'}"], folder / "asked", 2)


def _tone(path: Path, hertz: float) -> None:
    time = np.arange(1600) / 8000
    samples = 0.5 * np.sin(2 * np.pi * hertz * time) + 0.01 * DRAW.normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def piano_roll(folder: Path) -> Own:
    from scipy.io import savemat

    def cell(count: int) -> np.ndarray:
        pieces = np.empty((1, count), dtype=object)
        for place in range(count):
            pieces[0, place] = (DRAW.random((6 + place % 3, 88)) < 0.05).astype(np.uint8)
        return pieces

    savemat(folder / "own.mat", {"traindata": cell(12), "validdata": cell(3), "testdata": cell(3)})
    savemat(folder / "asked.mat", {"testdata": cell(2)})
    return Own([f"data.train={folder / 'own.mat'}"], folder / "asked.mat", 2)


KINDS: dict[str, Callable[[Path], Own]] = {
    made.__name__: made
    for made in (
        text_classification,
        tagging,
        language_modelling,
        translation,
        csv_classification,
        csv_regression,
        csv_forecasting,
        ts_classification,
        audio_classification,
        piano_roll,
    )
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all kinds: to make it takes seconds."""
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("kind", KINDS)
def test_train_evaluate_reproduce_predict(
    kind: str,
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEQSWEEP_HOME", str(store))
    monkeypatch.chdir(tmp_path)
    own = KINDS[kind](tmp_path)
    tiny = [f"model={own.model}", "model.hidden_size=8", "trainer.max_epochs=1", "tracking.log_model=false"]
    assert main(["train", f"data={kind}", *own.train, *tiny]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("data    own: ") for line in printed)
    (run,) = (line.split()[1] for line in printed if line.startswith("run: "))

    assert main(["evaluate", run, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same"] is True
    assert found["metrics"] == found["recorded"]  # none is left out

    assert main(["reproduce", run]) == 0
    printed = capsys.readouterr().out
    assert "bit for bit" in printed.splitlines()[-1]
    assert "differs" not in printed

    out = tmp_path / "out"
    assert main(["predict", run, str(own.asked), "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert len([line for line in out.read_text().splitlines() if line.strip()]) >= own.answers
    assert main(["predict", run, str(own.asked)]) == 0
    assert capsys.readouterr().out == out.read_text()


def test_all_kinds_are_here() -> None:
    """A configuration without a named set that asks for a file is a kind of its own."""
    import yaml

    configs = {
        path.stem: yaml.safe_load(path.read_text())
        for path in (paths.shipped("conf") / "data").glob("*.yaml")
    }
    own = {
        name
        for name, config in configs.items()
        if "train" in config and not (config["train"] or config["dataset"])
    }
    assert own == set(KINDS)
