"""What ``seqsweep ui`` refuses; a browser on the real thing is in end_to_end."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from seqsweep.cli import main, ui


def test_no_store_yet_says_what_to_do(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui"]) == 2
    assert "`seqsweep sweep digits`" in capsys.readouterr().err
    assert not list(isolated_home.iterdir())


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ui", "--port", port])
    assert ended.value.code == 2
    assert "expected a port from 1 to 65535" in capsys.readouterr().err


def test_the_next_free_port() -> None:
    with socket.socket() as taken:
        taken.bind((ui.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < ui._free_port(port) < port + 100


def test_ports_that_are_all_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqsweep.errors import StoreError

    monkeypatch.setattr(ui, "_PORTS_TRIED", 1)
    with socket.socket() as taken:
        taken.bind((ui.HOST, 0))
        taken.listen()
        with pytest.raises(StoreError, match=r"--port .* in use; give another one"):
            ui._free_port(taken.getsockname()[1])


def test_arguments() -> None:
    parser = argparse.ArgumentParser()
    ui.add_arguments(parser)
    parsed = parser.parse_args(["digits", "--port", "5001", "--open"])
    assert (parsed.study, parsed.port, parsed.open) == ("digits", 5001, True)
    assert parser.parse_args([]).study is None


def test_a_server_that_ends_at_once_says_why(isolated_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (isolated_home / "mlflow.db").write_text("no database, but long enough to be looked into as one" * 20)
    assert main(["ui", "digits"]) == 2
    assert "not a database" in capsys.readouterr().err
