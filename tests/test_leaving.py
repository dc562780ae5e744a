from __future__ import annotations

import os
import subprocess
import sys

import pytest

LONG = """
class Long:
    def __del__(self):
        print("taken down")

kept = Long()
kept.itself = kept
"""
SCRIPT = f"""
import atexit, os, sys, threading
from seqsweep.leaving import leave_at_once
{LONG}
leave_at_once(lambda: 7)
atexit.register(print, "registered later", end=" ")
print("begun", end=" ")
"""


def run(*command: str) -> tuple[int, str]:
    """Its status, and what it says on both streams."""
    done = subprocess.run(
        [sys.executable, *command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def test_it_ends_with_the_status_all_said_and_nothing_taken_down() -> None:
    assert run("-c", SCRIPT) == (7, "begun registered later ")


def test_threads_are_waited_for() -> None:
    thread = """
release = threading.Event()
threading.Thread(target=lambda: (release.wait(60), print("thread", end=" "))).start()
threading.Thread(target=release.set).start()
"""
    assert run("-c", SCRIPT + thread) == (7, "begun thread registered later ")


def test_what_it_has_forked_ends_as_ever() -> None:
    forked = """
sys.stdout.flush()
if not os.fork():
    atexit.unregister(print)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.wait()[1]), end=" ")
"""
    status, said = run("-c", SCRIPT + forked)
    assert (status, said) == (7, "begun taken down\n3 registered later ")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--version"], 0, "seqsweep "),
        (["nosuch"], 2, "invalid choice: 'nosuch'"),
        (["sweep", "nosuch"], 2, "there is no nosuch.yaml"),
        (["list", "--nosuch"], 2, "unrecognized arguments"),
    ],
)
def test_a_commands_status_is_its_own(arguments: list[str], status: int, said: str) -> None:
    found, text = run("-m", "seqsweep", *arguments)
    assert found == status
    assert said in text


def test_nobody_reads_the_last_words() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "seqsweep", "--help"]
    done = subprocess.run(command, check=False, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
