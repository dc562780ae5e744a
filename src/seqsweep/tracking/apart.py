"""A recorder in a process of its own, for one run that trains in this one.

Writing a record into MLflow is Python, and the more of it the more is recorded; a
thread would take turns with the training steps. Where the training process alone is killed
its recorder ends by itself, after the last record; what neither has handed over stays in
the run's folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqsweep.errors import RecordError
from seqsweep.tracking.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecorderApart:
    """Drains one run's folder into MLflow; see `Recorder`, which does it there.

    Args:
        uri: the tracking store.
        experiment: in which the Run is.
        artifacts: where those of an embedded store are.
        directory: the run's folder.
        name: the Run's.
        tags: the Run's.

    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        artifacts: Path,
        directory: Path,
        *,
        name: str,
        tags: Mapping[str, str],
    ) -> None:
        self.run_id: str | None = None
        """The Run; None until `close`, and after it where the store did not take any of it."""
        self._where = {"uri": uri, "experiment": experiment, "artifacts": str(artifacts)}
        self._what = {"directory": str(directory), "name": name, "tags": dict(tags)}
        # These are for the one that trains; what is blocked here is blocked there from the first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._send(self._where | self._what | {"argv": sys.argv})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Drain everything, then end the process. Safe to call twice.

        Raises:
            RecordError: the store did not take everything. The records that it lacks
                stay in the run's folder, for the next recorder.

        """
        if self._process.returncode is not None:
            return
        # A line, since whatever was forked while it trained may hold the pipe's other end, too.
        told, _ = self._process.communicate("\n")
        if not told:  # it was killed: what it has left is handed over here
            self.run_id = _record(self._where, self._what)
            return
        answer: dict[str, Any] = json.loads(told)
        self.run_id = answer["run_id"]
        if answer["error"] is not None:
            raise RecordError(answer["error"])

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; `close` sees to it
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()


def _record(where: Mapping[str, str], what: Mapping[str, Any], wait: bool = False) -> str | None:
    """Record the run, until a line says that it is over, or no more can, if `wait`; its id.

    Raises RecordError.
    """
    directory = Path(what["directory"])
    recorder = Recorder(where["uri"], where["experiment"], Path(where["artifacts"]))
    try:
        recorder.follow(directory, name=what["name"], tags=what["tags"])
        if wait:
            sys.stdin.readline()
    finally:
        recorder.close()
    return recorder.run_id(directory)


def _main() -> None:
    """The process: told what to do by a line, answers by another once there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    sys.argv = order["argv"]  # of the run, which records how it was begun
    run_id, error = None, None
    try:
        run_id = _record(order, order, wait=True)
    except RecordError as refused:
        error = str(refused)
    with suppress(BrokenPipeError), answers:  # the one that trained may be gone
        answers.write(json.dumps({"run_id": run_id, "error": error}))


if __name__ == "__main__":
    _main()
