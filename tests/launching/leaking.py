"""Jobs that leave something behind in their process, and jobs that look for it."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqsweep.protocol import Complete, JobContext, Outcome

_pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}


def leak(payload: str, context: JobContext) -> Outcome:
    """Leave behind what `payload` names; what a look at it then shows."""
    spoil, look = _pairs[payload]
    look()
    spoil()
    return Complete(detail=look())


def look(payload: str, context: JobContext) -> Outcome:
    """See what is left of it."""
    return Complete(detail=_pairs[payload][1]())


def pair(spoil: Callable[[], object]) -> Callable[[Callable[[], object]], None]:
    def register(look: Callable[[], object]) -> None:
        _pairs[look.__name__] = (spoil, look)

    return register


@pair(lambda: random.seed(1))
def python_random() -> bool:
    return random.getstate() == random.Random(1).getstate()


def _seed_numpy() -> None:
    import numpy

    numpy.random.seed(1)


@pair(_seed_numpy)
def numpy_random() -> bool:
    import numpy

    return bool((numpy.random.get_state()[1] == numpy.random.RandomState(1).get_state()[1]).all())


def _seed_torch() -> None:
    import torch

    torch.manual_seed(1)
    torch.rand(5)


@pair(_seed_torch)
def torch_random() -> bool:
    import torch

    untouched = torch.Generator()
    return not torch.equal(torch.default_generator.get_state(), untouched.get_state())


def _three_threads() -> None:
    import torch

    torch.set_num_threads(3)


@pair(_three_threads)
def torch_threads() -> bool:
    import torch

    return torch.get_num_threads() == 3


def _change_environment() -> None:
    os.environ["SEQSWEEP_LEAKED"] = "1"
    os.environ["OMP_NUM_THREADS"] = "3"
    del os.environ["PATH"]


@pair(_change_environment)
def environment() -> tuple[bool, bool, bool]:
    variables = os.environ
    return "SEQSWEEP_LEAKED" in variables, variables["OMP_NUM_THREADS"] == "3", "PATH" not in variables


@pair(lambda: os.chdir("/"))
def directory() -> bool:
    return Path.cwd() == Path("/")


class _Kept(logging.Handler):
    """Knows whether it has been closed."""

    closed = False

    def close(self) -> None:
        _Kept.closed = True
        super().close()


def _spoil_logging() -> None:
    logging.disable(logging.WARNING)
    logging.root.addHandler(_Kept())
    logging.root.setLevel(logging.DEBUG)
    old, new = logging.getLogger("concurrent.futures"), logging.getLogger("leaking.new")
    for logger in (old, new):
        logger.addHandler(_Kept())
        logger.addFilter(lambda record: False)
        logger.setLevel(logging.ERROR)
        logger.disabled = True
        logger.propagate = False


@pair(_spoil_logging)
def logs() -> list[bool]:
    import concurrent.futures._base  # has a logger of its own

    assert concurrent.futures._base.LOGGER
    named = [logging.getLogger("concurrent.futures"), logging.getLogger("leaking.new")]
    return [
        logging.root.manager.disable > 0,
        any(isinstance(handler, _Kept) for handler in logging.root.handlers),
        logging.root.level == logging.DEBUG,
        *(any(isinstance(handler, _Kept) for handler in logger.handlers) for logger in named),
        *(bool(logger.filters) for logger in named),
        *(logger.level == logging.ERROR for logger in named),
        *(not logger.isEnabledFor(logging.ERROR) for logger in named),
        *(logger.disabled for logger in named),
        *(not logger.propagate for logger in named),
    ]


def _keep_a_log_open() -> None:
    _Kept.closed = False
    logging.root.addHandler(_Kept())


@pair(_keep_a_log_open)
def open_log() -> bool:
    return not _Kept.closed


def _spoil_hydra() -> None:
    from hydra import compose, initialize_config_module
    from hydra.core.hydra_config import HydraConfig

    initialize_config_module("hydra.conf", version_base="1.3")
    HydraConfig.instance().set_config(compose(return_hydra_config=True))


@pair(_spoil_hydra)
def hydra() -> tuple[bool, bool]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    return GlobalHydra.instance().is_initialized(), HydraConfig.initialized()


def _spoil_signals() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


@pair(_spoil_signals)
def signals() -> list[bool]:
    return [
        signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL,
        signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    ]


class _LeakedWarning(UserWarning):
    pass


@pair(lambda: warnings.simplefilter("error", _LeakedWarning))
def warnings_filters() -> bool:
    return any(category is _LeakedWarning for _, _, category, _, _ in warnings.filters)


def _spoil_interpreter() -> None:
    sys.path.insert(0, "/leaked")
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  left open on purpose
    multiprocessing.set_start_method("fork", force=True)


@pair(_spoil_interpreter)
def interpreter() -> list[bool]:
    return [
        "/leaked" in sys.path,
        getattr(sys.stdout, "name", "") == os.devnull,
        multiprocessing.get_start_method() == "fork",
    ]


def _use_cuda() -> None:
    import torch

    torch.cuda.manual_seed(1)
    kept = torch.ones(1 << 26, device="cuda")
    kept.append = kept  # type: ignore[attr-defined]  # only the garbage collector frees it


@pair(_use_cuda)
def cuda() -> list[bool]:
    import torch

    if not torch.cuda.is_initialized():
        return []
    return [
        torch.cuda.memory_reserved() > 0,
        torch.cuda.max_memory_reserved() > 0,
        torch.cuda.initial_seed() == 1,
    ]


def grows(payload: int, context: JobContext) -> Outcome:
    """Hold so many bytes for a moment."""
    held = bytearray(payload)
    held[::4096] = b"1" * len(held[::4096])
    return Complete()


def leaves_a_process(payload: Any, context: JobContext) -> Outcome:
    """Its parent, a shell, has ended."""
    subprocess.run(["/bin/sh", "-c", "sleep 1000 &"], check=True)
    return Complete()


def leaves_a_thread(payload: Any, context: JobContext) -> Outcome:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return Complete()


def counts_frozen(payload: Any, context: JobContext) -> Outcome:
    """Objects that the garbage collector leaves alone."""
    return Complete(detail=gc.get_freeze_count())


def says_whether_interrupted(payload: float, context: JobContext) -> Outcome:
    """After so many seconds."""
    threading.Event().wait(payload)
    return Complete(detail=context.interrupted)


def closes_its_output(payload: Any, context: JobContext) -> Outcome:
    """What is closed cannot be opened again."""
    sys.stdout.close()
    return Complete()
