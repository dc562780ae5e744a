"""Series and recordings of one's own: trained on, tested and predicted for on the command line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.io import wavfile

from seqsweep.cli import main

pytestmark = pytest.mark.real

TINY = ["model=gru", "model.hidden_size=8", "trainer.max_epochs=1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def latest(folder: Path) -> str:
    """The id of the one run that was recorded."""
    (found,) = folder.glob("mlartifacts/*/*/artifacts/config.yaml")
    assert yaml.safe_load(found.read_text())["trainer"]["max_epochs"] == 1
    return found.parents[1].name


def taken_through(folder: Path, capsys: pytest.CaptureFixture[str], file: str, *train: str) -> list[str]:
    """The lines that predictions are written in, after training and testing."""
    assert main(["train", *train, *TINY]) == 0
    run = latest(folder)
    assert main(["evaluate", run]) == 0
    assert "recorded: the same" in capsys.readouterr().out
    assert main(["predict", run, file]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("method", ["direct", "autoregressive"])
def test_csv_forecasting(tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str) -> None:
    rows = np.random.default_rng(0).normal(size=(80, 2)).cumsum(0)
    dates = pd.date_range("2020-01-01", periods=80).strftime("%Y-%m-%d")
    table = pd.DataFrame({"day": dates, "a": rows[:, 0], "b": rows[:, 1]})
    table.to_csv(tmp_path / "own.csv", index=False)
    table[:20].to_csv(tmp_path / "new.csv", index=False)
    options = ["data.context=8", "data.horizon=3", "data.val_share=0.2", f"data.method={method}"]
    lines = taken_through(tmp_path, capsys, "new.csv", "data=csv_forecasting", "data.train=own.csv", *options)
    assert lines[0] == "day,a,b"
    assert [line.split(",")[0] for line in lines[1:]] == ["2020-01-21", "2020-01-22", "2020-01-23"]


def test_ts_classification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [f"{n},{n + 1}:{-n},{n}:{'up' if n % 2 else 'down'}" for n in range(30)]
    header = ["@univariate false", "@classLabel true up down", "@data"]
    Path("own.ts").write_text("\n".join(header + cases) + "\n")
    lines = taken_through(tmp_path, capsys, "own.ts", "data=ts_classification", "data.train=own.ts")
    assert lines[0] == "line,class,probability_down,probability_up"
    assert len(lines) == 31


def test_audio_classification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    time = np.arange(800) / 8000
    with zipfile.ZipFile("own.zip", "w") as archive:
        for label, hertz in (("low", 300), ("high", 2000)):
            for n in range(15):
                file = io.BytesIO()
                wavfile.write(file, 8000, (np.sin(2 * np.pi * (hertz + n) * time) * 9000).astype(np.int16))
                archive.writestr(f"{label}/{n}.wav", file.getvalue())
    Path("one.wav").write_bytes(file.getvalue())
    lines = taken_through(tmp_path, capsys, "one.wav", "data=audio_classification", "data.train=own.zip")
    assert lines[0] == "file,class,probability_high,probability_low"
    assert lines[1].startswith("one.wav,")
