from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import seqsweep.launching.server

class Long:
    def __del__(self):
        print("taken down")

kept = Long()
kept.itself = kept
"""


def test_the_warm_server_does_not_take_down_what_it_has_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    without = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("import seqsweep.launching.server", "")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert without.stdout == "taken down\n"
