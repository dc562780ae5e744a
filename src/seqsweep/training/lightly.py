"""Imports lightning, without half of the time that this takes.

That half goes to modules which hardly a run asks anything of. They are there all the
same, for whoever asks (`seqsweep.later`):

- ``torch._dynamo``, the tracer of `torch.compile`: Lightning wants to know whether a
  model is a compiled one, every optimiser's step tells it that there is nothing to trace.
  Its ``torch.fx.experimental.symbolic_shapes``, and with it SymPy: a loss under
  `torch.func.vmap` asks it whether what has been found true is.
- ``torchmetrics.utilities.plot``, and with it matplotlib: each metric has a ``plot``.
- ``scipy.signal``: torchmetrics gives it a name that SciPy has dropped, for the
  package of an audio metric, srmrpy.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

from seqsweep.later import StandIn, stand_in, uncollected

_TRACER = "torch._dynamo"


class _Compiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        tracer = sys.modules[_TRACER]
        return not isinstance(tracer, StandIn) and isinstance(instance, tracer.OptimizedModule)


class _OptimizedModule(metaclass=_Compiled):
    """As what `torch.compile` makes of a module: there is none before the tracer has been imported."""


def _tracer(instead: StandIn) -> Mapping[str, object]:
    def disable(function: Any = None, recursive: bool = True, **options: Any) -> Any:
        if not isinstance(function, FunctionType):
            return instead.real().disable(function, recursive, **options)
        current: list[Callable[..., Any]] = [function]

        def keep_off(tracer: ModuleType) -> None:
            current[0] = tracer.disable(function, recursive, **options)

        instead.when_imported.append(keep_off)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            return current[0](*arguments, **named)

        return call

    return {"OptimizedModule": _OptimizedModule, "disable": disable, "graph_break": lambda *_, **__: None}


def _plots(instead: StandIn) -> Mapping[str, object]:
    functions = ("plot_single_or_multi_val", "plot_curve", "plot_confusion_matrix")
    types = dict.fromkeys(("_AX_TYPE", "_PLOT_OUT_TYPE", "_CMAP_TYPE"), object)  # in signatures only
    return {**types, **{name: instead.call(name) for name in functions}}


def _shapes(instead: StandIn) -> Mapping[str, object]:
    def expect_true(found: Any, skip: int = 0) -> bool:
        return found if type(found) is bool else instead.real().expect_true(found, skip)

    return {"expect_true": expect_true}


with uncollected():
    stand_in(_TRACER, _tracer)
    stand_in("torch.fx.experimental.symbolic_shapes", _shapes)
    stand_in("torchmetrics.utilities.plot", _plots)
    if find_spec("srmrpy") is None:
        stand_in("scipy.signal", lambda _: {"hamming": None})
    importlib.import_module("lightning.pytorch")
