"""``seqsweep ui``: MLflow's own UI on the store, with addresses that lead into a study."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from seqsweep import paths
from seqsweep.errors import SeqsweepError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

HOST = "127.0.0.1"
_PORTS_TRIED = 100
_START_SECONDS = 180.0
_STOP_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.epilog = (
        "Without STUDY the addresses of all studies are printed. With MLFLOW_TRACKING_URI=http://... no "
        "server is started: the addresses are on that one. Ctrl-C stops the server, with exit status 0. "
        "Optuna has a dashboard of its own: optuna-dashboard sqlite:///optuna.db"
    )
    parser.add_argument("study", nargs="?", metavar="STUDY", help="print the addresses of this study's pages")
    parser.add_argument("--port", type=_port, default=5000, help="first port to try (default: %(default)s)")
    parser.add_argument("--open", action="store_true", help="open the first address in a browser")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises:
        StoreError: there is no store yet, or it cannot be read.
        StudyError: there is no such study.
        SeqsweepError: the server does not start.
    """
    from seqsweep.tracking.stores import check_content, check_kind, check_server, embedded_file, is_server

    uri = paths.tracking_uri()
    if args.study and args.tracking_uri is None:
        from seqsweep.reporting.links import recorded_at

        uri = recorded_at(args.study) or uri
    check_kind(uri)
    if is_server(uri):
        check_server(uri)
        _announce(uri, uri.rstrip("/"), args)
        return 0
    file = embedded_file(uri)
    if file is not None and not file.exists():
        raise StoreError(
            f"no tracking store at {file} yet: `seqsweep sweep digits` or `seqsweep train` makes one; "
            "one elsewhere is named by SEQSWEEP_HOME or MLFLOW_TRACKING_URI"
        )
    check_content(uri)
    port = _free_port(args.port)
    if port != args.port:
        print(f"port {args.port} is in use; taking {port}", flush=True)
    with _stopped_by_signals(), _server(uri, port) as server:
        try:
            _serve(server, uri, f"http://{HOST}:{port}", args)
        except KeyboardInterrupt:
            print("stopping MLflow's server", flush=True)
    return 0


def _serve(server: Server, uri: str, base: str, args: argparse.Namespace) -> None:
    print(f"starting MLflow's UI on {uri}", flush=True)
    pages = _pages(uri, base, args.study)  # while the server starts; an unknown study ends it
    server.wait_until_ready(f"{base}/health")
    _show(base, pages, args)
    print("Ctrl-C stops it", flush=True)
    server.wait()


def _announce(uri: str, base: str, args: argparse.Namespace) -> None:
    _show(base, _pages(uri, base, args.study), args)


def _pages(uri: str, base: str, study: str | None) -> list[tuple[str, str]]:
    """What there is to see, and where: all studies, or one more closely."""
    from seqsweep.reporting.links import recorded_studies, study_pages

    if study is None:
        return [(f"study {name}", study_pages(uri, base, name).table) for name in recorded_studies(uri)]
    pages = study_pages(uri, base, study)
    found = {
        f"study {study}": pages.table,
        f"its best {pages.compared} compared": pages.comparison,
        f"their {pages.metric}": pages.curves,
        "its best run": pages.best,
    }
    return [(what, address) for what, address in found.items() if address]


def _show(base: str, pages: list[tuple[str, str]], args: argparse.Namespace) -> None:
    shown = pages or [("MLflow", base)]
    width = max(len(what) for what, _ in shown)
    for what, address in shown:
        print(f"{what:<{width}}  {address}", flush=True)
    if args.open:
        webbrowser.open(shown[0][1])


class Server:
    """A running ``mlflow server`` and all its processes."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self._process = process
        self._output = output

    def wait_until_ready(self, address: str) -> None:
        """Until the address answers. Raises SeqsweepError with what the server said if it does not start."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise SeqsweepError(f"MLflow's server ended at once:\n{self._last_words()}")
            try:
                with urlopen(address, timeout=5):  # noqa: S310 - our own http address
                    return
            except (URLError, OSError):
                time.sleep(0.2)
        raise SeqsweepError(
            f"MLflow's server did not answer in {_START_SECONDS:.0f} s:\n{self._last_words()}"
        )

    def wait(self) -> None:
        """Until it ends by itself, which is an error."""
        code = self._process.wait()
        raise SeqsweepError(f"MLflow's server ended with status {code}:\n{self._last_words()}")

    def stop(self) -> None:
        """End the server and every process it started, now if Ctrl-C comes again."""
        with suppress(KeyboardInterrupt):
            _signal_group(self._process.pid, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline and _signal_group(self._process.pid, 0):
                self._process.poll()  # reap it, or its group would seem alive
                time.sleep(0.05)
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _last_words(self) -> str:
        self._output.seek(0)
        return "\n".join(self._output.read().decode(errors="replace").splitlines()[-15:])


@contextmanager
def _server(uri: str, port: int) -> Iterator[Server]:
    artifacts = paths.artifacts()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += [
        "--artifacts-destination",
        artifacts.as_uri(),
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    # The job runners are for evaluations that we do not use: eight processes more, and slow to end.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **quiet},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for us alone; its group is ours to end
        )
        server = Server(process, output)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Being told to end, or a closed terminal, ends the server as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; whether there was anybody."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _free_port(first: int) -> int:
    """The first port from `first` on that is free on this machine's own address."""
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
            return port
    raise StoreError(
        f"--port {first}: this port and the {_PORTS_TRIED - 1} after it are in use; give another one"
    )


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text}: expected a port from 1 to 65535")
    return port
