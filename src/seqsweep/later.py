"""Modules that are imported when something of theirs is needed, not when somebody says ``import``.

Lightning imports much that a training run never asks for. What can be given without
the module itself, `stand_in` gives; whoever asks for anything else has it imported.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class StandIn(ModuleType):
    """Stands for a module, or a package, until more is asked of it than it has been given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.given: tuple[str, ...] = ()
        """Names of what is not the module's own."""
        self.when_imported: list[Callable[[ModuleType], None]] = []
        """What the module is handed to once there is one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # inspect asks every module for its file
            raise AttributeError(name)
        return getattr(self.real(), name)

    def real(self) -> ModuleType:
        """The module itself, imported, and in its place from now on."""
        name = self.__name__
        with _LEAVING:
            given = _FINDER.given.pop(name) if sys.modules.get(name) is self else None
            if given:
                del sys.modules[name]
        if not given:  # it is there, or another thread is importing it
            return importlib.import_module(name)
        try:
            module = importlib.import_module(name)
        except BaseException:  # whoever asks again is told again
            _FINDER.given[name], sys.modules[name] = given, self
            raise
        for mine in self.given:
            delattr(self, mine)
        for told in self.when_imported:
            told(module)
        return module

    def call(self, name: str) -> Callable[..., Any]:
        """The module's function of that name, which is imported when it is called."""

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(self.real(), name)(*arguments, **options)

        call.__name__ = call.__qualname__ = name
        return call


def stand_in(name: str, given: Callable[[StandIn], Mapping[str, object]]) -> None:
    """Whoever imports the module `name` gets something that stands for it, unless it has been imported.

    Args:
        name: of a module that is installed.
        given: what can be had without importing it, by name.

    """
    if name in sys.modules:
        return
    _FINDER.given[name] = given
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection within the body, which imports; nor later, of what there is at its end.

    Looking for garbage takes up to a third of the time of large imports, and each later look at all that they
    have made some tenths of a second.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


class _Finder(MetaPathFinder):
    """Finds what stands for modules, and what is within such a package, once that has been imported."""

    def __init__(self) -> None:
        self.given: dict[str, Callable[[StandIn], Mapping[str, object]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.given:
            return ModuleSpec(fullname, _Stand(self.given[fullname]), is_package=True)
        package = sys.modules.get(fullname.rpartition(".")[0])
        if not isinstance(package, StandIn):
            return None
        package.real()
        # it is not there meanwhile, or would be loaded again as its own specification says
        there = sys.modules.pop(fullname, None)
        return ModuleSpec(fullname, _There(there)) if there else importlib.util.find_spec(fullname)


_FINDER, _LEAVING = _Finder(), threading.Lock()


class _Stand(Loader):
    """Makes what stands for a module."""

    def __init__(self, given: Callable[[StandIn], Mapping[str, object]]) -> None:
        self._given = given

    def create_module(self, spec: ModuleSpec) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert isinstance(module, StandIn)
        given = self._given(module)
        module.given = tuple(given)
        vars(module).update(given)


class _There(Loader):
    """Of a module that its package has just imported: it is not run again."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        with suppress(AttributeError):  # PyTorch's modules of settings let nobody change anything else
            module.__spec__ = self._spec
