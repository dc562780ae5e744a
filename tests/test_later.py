"""A module that something stands for is imported by whoever asks for more, in whatever way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import sys
from seqsweep.later import stand_in

stand_in("thing.deep", lambda instead: {"light": 1, "heavy": instead.call("heavy")})
def imported():
    return getattr(sys.modules["thing.deep"], "COUNT", None) if "thing.deep.inner" in sys.modules else None
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """thing.deep, which has imported its `inner`, and not its `outer`."""
    deep = tmp_path / "thing" / "deep"
    (deep / "outer").mkdir(parents=True)
    (tmp_path / "thing" / "__init__.py").write_text("")
    (deep / "__init__.py").write_text(
        "from thing.deep import inner\n__all__ = ['inner', 'light']\nlight = 2\nCOUNT = inner.times\n"
        "def heavy(x):\n    return x + light\n"
    )
    (deep / "inner.py").write_text("import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\ntimes = n\n")
    (deep / "outer" / "__init__.py").write_text("")
    (deep / "outer" / "most.py").write_text("from thing.deep import inner\nsame = inner\n")
    return tmp_path


@pytest.mark.parametrize(
    "code",
    [
        "import thing.deep; assert thing.deep.light == 1 and imported() is None",
        "from thing.deep import light; assert light == 1 and imported() is None",
        "import inspect; [inspect.getmodule(f) for f in sys._current_frames().values()]; assert imported() is None",
        "import thing.deep as d; assert d.inner.times == 1; import thing.deep; assert thing.deep.light == 2",
        "from thing.deep import COUNT; assert COUNT == 1",
        "from thing.deep import *; assert light == 2 and inner.times == 1",
        "import thing.deep.inner; assert thing.deep.inner.times == imported() == 1",
        "from thing.deep.inner import times; import thing.deep.inner as i; assert times == 1 and i.__spec__.origin",
        "from thing.deep.outer.most import same; assert same is sys.modules['thing.deep.inner'] and imported() == 1",
        "from thing.deep import heavy; assert heavy(1) == 3 and heavy(2) == 4 and imported() == 1",
        "from thing import deep; import thing; assert deep.COUNT == 1 and imported() == 1; "
        "assert thing.deep is sys.modules['thing.deep'] is not deep",
        "stand_in('json', lambda _: {}); import json; assert json.loads('1') == 1",
        "import email; stand_in('email', lambda _: {}); assert sys.modules['email'] is email",
    ],
)
def test_asked_in_any_way(package: Path, code: str) -> None:
    _run(package, BEGIN + code)


def test_a_module_that_does_not_import_says_so_each_time(package: Path) -> None:
    (package / "thing" / "deep" / "inner.py").write_text("raise OSError('no disk')\n")
    _run(
        package,
        BEGIN
        + """
import thing.deep
for _ in range(2):
    try:
        thing.deep.COUNT
    except OSError as error:
        assert str(error) == "no disk"
    else:
        raise AssertionError("imported")
assert thing.deep.light == 1
""",
    )


def test_two_threads_ask_at_once(package: Path) -> None:
    _run(
        package,
        BEGIN
        + """
import threading
import thing.deep
begin, found = threading.Barrier(8), []
def ask():
    begin.wait()
    found.append(thing.deep.COUNT)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert found == [1] * 8, found
""",
    )


def _run(folder: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
