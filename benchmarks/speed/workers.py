"""A process that does what it is told, one thing after another, so that contestants share nothing."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from speed.measuring import Settings

HERE = Path(__file__).parents[1]


def environment(settings: Settings, name: str) -> dict[str, str]:
    """Stores and caches of its own, the sampled data, one thread."""
    known = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    home = settings.folder / name
    home.mkdir(exist_ok=True)
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return known | {
        "SEQSWEEP_HOME": str(home),
        "XDG_CACHE_HOME": str(settings.folder / "cache"),
        "SEQSWEEP_DATA": str(settings.data),
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


class Worker:
    """The process, its home a folder named `name`."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.log = settings.folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "speed.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(settings, name),
                cwd=settings.folder / name,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.process.communicate()

    def ask(self, entry: str, **arguments: Any) -> Any:
        """What ``module:function`` returns for the arguments; both must be plain."""
        self.begin(entry, **arguments)
        return self.answer(entry)

    def begin(self, entry: str, **arguments: Any) -> None:
        """Have it called, and go on meanwhile."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([entry, arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self, entry: str) -> Any:
        """Wait for what has been begun."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{entry}: its process died: {self.log.read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{entry}: {answer['error']}")
        return answer["value"]


def _serve() -> None:
    """Answer each line; what libraries print goes to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        entry, arguments = json.loads(line)
        module, _, function = entry.partition(":")
        try:
            answer = {"value": getattr(importlib.import_module(module), function)(**arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
