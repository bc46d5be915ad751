"""One imported module, held weakly and read without running any code of the app.

Modules may replace their class, define `__getattr__`, or be lazy: an ordinary read of
an attribute can run code or even start an import. So a namespace is always got through
the descriptor of `ModuleType` itself, and `isinstance`, which asks the object for its
`__class__`, is never used on what stands in `sys.modules`.
"""

from __future__ import annotations

import os
import sys
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import ref

from remora.agent.modules import distributions

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULE_TYPE: dict[str, Any] = dict(vars(ModuleType))
_get_namespace: Callable[[ModuleType], dict[str, Any]] = _MODULE_TYPE[
    "__dict__"
].__get__


class ModuleState(Enum):
    """Where a module stands in its life."""

    LOADING = "loading"
    LOADED = "loaded"
    GONE = "gone"


class LoadedModule:
    """A module under its own key in `sys.modules`.

    `generation` counts from 1 and goes up with each reload and re-import.
    `first_importer` is the name of the module whose import statement loaded it, or "".
    """

    __slots__ = (
        "__weakref__",
        "_distribution",
        "_file",
        "_reference",
        "executing",
        "first_importer",
        "generation",
        "grows",
        "is_executed",
        "is_news",
        "name",
        "size",
    )

    def __init__(self, name: str, module: ModuleType, generation: int) -> None:
        self.name = name
        self.generation = generation
        self.first_importer = ""
        self._reference = ref(module)
        self._file = ""
        self._distribution: tuple[str, str] | None = None
        # The rest is the store's: whether a loader is at work or was seen to finish,
        # whether subscribers were not told yet, and, where nobody tells when all of the
        # module is there, its size when last seen.
        self.executing = False
        self.is_executed = False
        self.is_news = True
        self.size = 0
        self.grows = self.is_open

    def __repr__(self) -> str:
        return f"<LoadedModule {self.name} {self.state.value}>"

    def module(self) -> ModuleType | None:
        """Return the module itself, while somebody else holds it."""
        return self._reference()

    @property
    def namespace(self) -> dict[str, Any]:
        """The module's own dictionary; an empty one when the module has died."""
        module = self._reference()
        return {} if module is None else namespace_of(module)

    @property
    def state(self) -> ModuleState:
        """`gone` as soon as `sys.modules` holds something else under the name."""
        module = self._reference()
        if module is None or sys.modules.get(self.name) is not module:
            return ModuleState.GONE
        if self.executing:
            return ModuleState.LOADING
        # The import system takes its own marks back only after we were told.
        if not self.is_executed and (is_initializing(module) or is_lazy(module)):
            return ModuleState.LOADING
        return ModuleState.LOADED

    @property
    def is_open(self) -> bool:
        """Whether statements that no loader runs may still add names to it.

        So it is with `__main__` and with modules made by hand.
        """
        return self.name == "__main__" or self.namespace.get("__spec__") is None

    @property
    def file(self) -> str:
        """The real path of the source (or of the extension); "" where there is none."""
        # Nothing is not remembered: `__main__` is there before it has its file.
        if not self._file:
            self._file = _real_source(self.namespace.get("__file__"))
        return self._file

    @property
    def real_name(self) -> str:
        """The name that this code has when it is imported.

        It differs from `name` for `__main__` alone: `python -m pkg.mod` leaves the name
        in the spec, a script is called after its file.
        """
        if self.name != "__main__":
            return self.name
        spec = self.namespace.get("__spec__")
        if type(spec) is ModuleSpec and type(spec.name) is str:
            return spec.name
        stem, extension = os.path.splitext(os.path.basename(self.file))  # noqa: PTH119, PTH122 - pathlib is not imported in the app for this
        return stem if extension == ".py" else "__main__"

    @property
    def distribution(self) -> str:
        """The name of the installed distribution that this very file belongs to, or "".

        Found by the file and not by the module's name, so a vendored copy does not pass
        for the installed one. Reads the disk: never ask in a hook or during an import.
        """
        return self._found_distribution()[0]

    @property
    def version(self) -> str:
        """The version of `distribution`, or "" without one."""
        return self._found_distribution()[1]

    def _found_distribution(self) -> tuple[str, str]:
        if self._distribution is None:
            self._distribution = distributions.find(self.real_name, self.file)
        return self._distribution


def is_module(value: object) -> bool:
    """Whether this is a module by its type, whatever it says of itself."""
    return issubclass(type(value), ModuleType)


def namespace_of(module: ModuleType) -> dict[str, Any]:
    """Return the dictionary of a module; runs no code of its class."""
    return _get_namespace(module)


def is_initializing(module: ModuleType) -> bool:
    """Whether the import system is still executing this module."""
    spec = namespace_of(module).get("__spec__")
    return type(spec) is ModuleSpec and getattr(spec, "_initializing", False) is True


def is_lazy(module: ModuleType) -> bool:
    """Whether importlib's LazyLoader has put off the execution of this module."""
    util = sys.modules.get("importlib.util")
    return (
        type(util) is ModuleType
        and type(module) is not ModuleType
        and type(module) is namespace_of(util).get("_LazyModule")
    )


def _real_source(file: object) -> str:
    """Turn `__pycache__/mod.cpython-311.pyc` and `mod.pyc` into `mod.py`."""
    if type(file) is not str or not file:
        return ""
    path = os.path.realpath(file)
    if path.endswith(".pyc"):
        folder, name = os.path.split(path)
        if os.path.basename(folder) == "__pycache__":  # noqa: PTH119 - as above
            folder = os.path.dirname(folder)  # noqa: PTH120 - as above
        path = f"{folder}/{name.split('.', 1)[0]}.py"
    return path
