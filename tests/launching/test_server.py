from __future__ import annotations

import subprocess
import sys

from test_leaving import LONG

SCRIPT = "\nimport seqsweep.launching.server\n" + LONG


def ends(code: str) -> str:
    """What a process says that has taken itself down."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def test_the_warm_server_does_not_take_down_what_it_has_loaded() -> None:
    server = "from multiprocessing.forkserver import main" + SCRIPT
    assert ends(server + "print('flushed')") == "flushed\n"
    forked = """
import os, sys
if not os.fork():
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert ends(server + forked).splitlines()[-1] == "3"  # which is no server


def test_any_other_process_that_imports_it_ends_as_ever() -> None:
    assert ends(SCRIPT) == "taken down\n"
