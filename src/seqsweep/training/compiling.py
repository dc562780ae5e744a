"""``trainer.compile``: the loss of a step and its gradient as `torch.compile` makes them.

Compiled is a function, not a module: parameters keep their names and stay where they are, so that
checkpoints, the optimiser and validation know nothing of it. The layers' kernels are called between
compiled parts, our loops over steps as one operation each (`seqsweep.models.opaque`): neither is traced,
whatever the lengths. What is a loop over cells even so is traced, and compiled for each length anew, until
PyTorch finds that it was too often and runs further ones as they are.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models import opaque
from seqsweep.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from seqsweep.data import Batch

GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes in which a GPU is given a whole step at once, as a CUDA graph."""
MODES = ("default", "max-autotune-no-cudagraphs", *GRAPHS)


def mode_of(wanted: object) -> str | None:
    """The mode that ``trainer.compile`` asks for; None for none."""
    if wanted in (None, False, "false"):
        return None
    return "default" if wanted in (True, "true") else str(wanted)


def checked(name: str, value: object) -> object:
    """The value of ``trainer.compile``. Raises ConfigError unless it is true, false or a mode."""
    if value is not None and not isinstance(value, bool):
        checks.one_of(name, str(value), ("true", "false", *MODES))
    return value


def check(mode: str, task: Task, device: torch.device, accumulated: int = 1) -> None:
    """See whether there is what it takes.

    Args:
        mode: of `MODES`.
        task: what is to be trained.
        device: where the run is to be trained.
        accumulated: batches that make a step.

    Raises:
        ConfigError: there is no compiler for the device, gradients would have to outlive a CUDA graph, or the
            task trains in a way of its own.

    """
    if type(task).training_step is not Task.training_step:
        raise ConfigError(
            f"trainer.compile={mode}: expected false with {type(task).__name__}, which has a training_step "
            "of its own; what belongs into its loss would be compiled"
        )
    if mode in GRAPHS and accumulated > 1:
        raise ConfigError(
            f"trainer.compile={mode}: expected default with trainer.accumulate_grad_batches={accumulated}, "
            "since the next replay of a CUDA graph overwrites the gradients of the one before"
        )
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        if not has_triton():
            raise _no_compiler(mode, "Triton for this GPU", "install triton")
    else:
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise _no_compiler(mode, "C++ compiler", "install g++, or name yours in CXX") from None


def _no_compiler(mode: str, what: str, mend: str) -> ConfigError:
    return ConfigError(f"trainer.compile={mode}: expected false where there is no {what}; {mend}")


@contextmanager
def compiled(task: Task, mode: str | None) -> Iterator[None]:
    """Within the body the task's training step is compiled in that mode, if there is one.

    Raises:
        ConfigError: at the first step, if the compiler there is does not work.

    """
    if mode is None:
        yield
        return
    import torch._dynamo
    import torch._inductor.config
    from tqdm import tqdm  # type: ignore[import-untyped]

    # The compiler has progress bars, whose own lock is a semaphore that a worker would leave behind.
    tqdm.set_lock(threading.RLock())
    torch._dynamo.reset()  # how often another run's shapes made it compile is not to count here
    # One thread compiles: a pool of processes would outlive the run, and take more than its cores.
    with (
        warnings.catch_warnings(),
        torch._dynamo.config.patch(allow_rnn=True),
        torch._inductor.config.patch(compile_threads=1),
        opaque.loops_only(mode in GRAPHS),
    ):
        # between two parts the tracer looks at what it is handed, whether that has a gradient
        warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor", UserWarning)
        task.compiled = _step(task, mode)
        try:
            yield
        finally:
            task.compiled = None
            torch._dynamo.reset()


def _step(task: Task, mode: str) -> Callable[[Batch, Any, Any], tuple[Tensor, Any]]:
    from torch._dynamo.exc import BackendCompilerFailed

    run = torch.compile(task.step_loss, mode=mode)

    def step(batch: Batch, state: Any, masks: Any) -> tuple[Tensor, Any]:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        try:
            loss, state = run(batch, state, masks)
        except BackendCompilerFailed as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"trainer.compile={mode}: expected false, since the compiler here does not work: {said}"
            ) from error
        return loss, _own(state) if mode in GRAPHS else state

    return step


def _own(state: Any) -> Any:
    """A carried state in memory that the graph's next replay does not overwrite."""
    if isinstance(state, tuple):
        return tuple(_own(part) for part in state)
    return state.clone() if isinstance(state, torch.Tensor) else state
