"""Lightning's manners, kept from a process that is not Lightning's."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF_SPEC = r"`isinstance\(treespec, LeafSpec\)` is deprecated"
LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric")


@contextmanager
def quiet() -> Iterator[None]:
    """Within the body Lightning logs warnings and errors only: no devices, no tips."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        _set_level(logger, max(logger.getEffectiveLevel(), logging.WARNING))
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls this of torch 2.13's in every loader; nothing a user could mend
            warnings.filterwarnings("ignore", LEAF_SPEC, FutureWarning)
            # trainer.accelerator=cpu is a choice
            warnings.filterwarnings("ignore", "GPU available but not used", UserWarning)
            # the measures of several processes are joined by torchmetrics
            warnings.filterwarnings("ignore", "It is recommended to use `self.log", UserWarning)
            # an epoch's mean is recorded, however few its steps
            warnings.filterwarnings("ignore", "The number of training batches", UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            _set_level(logger, level)


def _set_level(logger: logging.Logger, level: int) -> None:
    """If it has another: all loggers there are, several hundred, would be told to forget what they know."""
    if logger.level != level:
        logger.setLevel(level)


@contextmanager
def keeping_sigint() -> Iterator[None]:
    """After the body SIGINT is handled as before; Lightning ignores it for good once it has met one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
