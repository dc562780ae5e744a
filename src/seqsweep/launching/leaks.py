"""What a job may leave behind in its process, put back for the next job.

Needed where a worker runs several. Torch, numpy and Hydra are looked after only
if something has imported them; what modules keep for themselves stays.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

THREAD_TIME = 0.2
"""Seconds that a job's last threads are given to end by themselves."""


def remember() -> Callable[[], bool]:
    """Take note of the process as it is; the function returned puts it back after a job.

    It returns whether the process may run another job. It may not where a thread or a
    child process goes on. The environment, the number of threads and the output are
    not noted: each job is given its own.
    """
    notes = ExitStack()
    for note in (_directory, _interpreter, _logging, _signals, warnings.catch_warnings):
        notes.enter_context(note())
    threads = set(threading.enumerate())

    def put_back() -> bool:
        notes.close()
        _reseed()
        _empty_hydra()
        return not (_threads_go_on(threads) or _children_go_on())

    return put_back


@contextmanager
def _directory() -> Iterator[None]:
    before = os.getcwd()  # noqa: PTH109  a string as chdir wants it
    yield
    os.chdir(before)


@contextmanager
def _interpreter() -> Iterator[None]:
    path, streams = list(sys.path), (sys.stdin, sys.stdout, sys.stderr)
    start_method = multiprocessing.get_start_method(allow_none=True)
    yield
    sys.path[:] = path
    sys.stdin, sys.stdout, sys.stderr = streams
    for stream in streams[1:]:
        stream.flush()  # raises if it has been closed
    multiprocessing.set_start_method(start_method, force=True)


@contextmanager
def _logging() -> Iterator[None]:
    """Loggers that are new become as if nobody had touched them."""
    disabled = logging.root.manager.disable
    before = {logger: _settings(logger) for logger in _loggers()}
    kept = {handler for settings in before.values() for handler in settings["handlers"]}
    yield
    logging.disable(disabled)
    for logger in _loggers():
        for handler in set(logger.handlers) - kept:
            handler.close()
        vars(logger).update(before.get(logger) or _settings(logging.Logger(logger.name)))
    logging.root.setLevel(logging.root.level)  # also forgets what all loggers have cached of levels


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _settings(logger: logging.Logger) -> dict[str, Any]:
    settings = {name: getattr(logger, name) for name in ("level", "propagate", "disabled")}
    return {**settings, "handlers": list(logger.handlers), "filters": list(logger.filters)}


@contextmanager
def _signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _reseed() -> None:
    """Random numbers as in a fresh process: by chance, but torch's from the seed it always begins with."""
    random.seed()
    if generators := sys.modules.get("numpy.random"):
        generators.seed()
    if torch := sys.modules.get("torch"):
        seed = torch.Generator().initial_seed()
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


def _empty_hydra() -> None:
    if globally := sys.modules.get("hydra.core.global_hydra"):
        globally.GlobalHydra.instance().clear()
    if configured := sys.modules.get("hydra.core.hydra_config"):
        configured.HydraConfig.instance().cfg = None


def _threads_go_on(before: set[threading.Thread]) -> bool:
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(THREAD_TIME / len(left))
    return any(thread.is_alive() for thread in left)


def _children_go_on() -> bool:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # one that had ended
    except ChildProcessError:
        return False
    return True
