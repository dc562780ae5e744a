"""``seqsweep data``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqsweep.cli import main


def test_the_sets_and_where_each_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trec").mkdir()
    for name in ("TREC.train", "TREC.test.gz"):
        (tmp_path / "trec" / name).touch()
    (tmp_path / "sst").mkdir()
    (tmp_path / "sst" / "stsa.fine.dev").touch()
    assert main(["data", "list", "--root", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {known["name"]: known for known in document["data_sets"]}
    assert document["root"] == str(tmp_path)
    assert len(found) == 17
    assert (found["trec"]["folder"], found["trec"]["missing"]) == (str(tmp_path / "trec"), [])
    assert len(found["sst"]["missing"]) == 5
    assert (found["names"]["folder"], found["names"]["fetchable"]) == (None, False)
    assert found["mnist"]["bytes"] == 54_950_048


def test_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["data", "set", "data=", "where", "size", "licence"]
    assert "  not here  " in next(line for line in lines if line.startswith("trec "))
    assert "by hand only" in next(line for line in lines if line.startswith("airline "))
    assert lines[-1].startswith(f"looked for in {tmp_path}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trek", "did you mean 'trec'?"),
        ("airline", "airline cannot be downloaded by itself: get Airline.csv from"),
    ],
)
def test_what_cannot_be_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert main(["data", "fetch", name, "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_said(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "airline", "--root", str(real_data)]) == 0
    assert "Airline.csv  2 kB  already there" in capsys.readouterr().out


def test_an_action_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data"])
    assert stopped.value.code == 2
