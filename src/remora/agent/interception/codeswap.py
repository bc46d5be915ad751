"""In-place code swap: every reference to a Python function reaches its hooks.

The function object keeps its identity; its `__code__` becomes a trampoline that runs
the steps and calls a clone with the original code. Removal puts the very same code
object back. Known differences, stated in the site's status: one frame more (recursion
depth, `sys._getframe`, `stacklevel`).
"""

from __future__ import annotations

from _weakref import ref
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception import function_version
from remora.agent.interception.trampoline import exact
from remora.agent.targets import code_to_clone, is_trampoline, without_injection
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from remora.agent.interception.plan import Driver, Step

MECHANISM = "code swap"
WHY = "a Python function: its code is replaced in place, so every reference is reached"


class CodeSwap:
    """The interception of one function. Made by `interception.intercept`.

    It holds function, clone and trampoline weakly: while the function lives it holds
    the trampoline, which holds the clone.
    """

    __slots__ = (
        "_clone",
        "_driver",
        "_function",
        "_site",
        "_trampoline",
        "_version",
        "mechanism",
        "why",
    )

    def __init__(
        self,
        function: FunctionType,
        site: str,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = WHY
        self._function = ref(function)
        self._site = site
        self._driver = driver
        code = function.__code__
        if is_trampoline(code) and code_to_clone(code) is None:
            raise CannotInterceptError(
                f"{site} runs a trampoline of an agent that was stopped while another "
                "tool stood on top: restart the process to probe this function"
            )
        self._version = function_version.read(function)
        self._install(function, steps, _clone_of(function, code))

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on. Raises CannotInterceptError."""
        function = self._function()
        if function is None:
            return  # nobody can call it
        if not self._is_on_top(function):
            raise CannotInterceptError(
                f"another tool has replaced the code of {self._site} after us"
            )
        clone = self._clone() or _clone_of(function, self._behind(function))
        self._install(function, steps, clone)

    def loosen(self, steps: tuple[Step, ...]) -> None:
        """Let the trampoline hold nothing of the app, at some cost to each call.

        A code object hides from the collector what its constants hold, so a clone in
        it keeps the function's module alive, and with that the function itself. Where
        the clone is made at each call, the function goes as soon as the app lets go.
        """
        function = self._function()
        if function is not None and self._is_on_top(function):
            self._install(function, steps, None)

    def remove(self) -> bool:
        """Put the identical code object back; False where another tool is on top."""
        function = self._function()
        if function is None or self._trampoline() is None:
            return True
        # What is behind, because a probe on a line may have come or gone meanwhile.
        code = self._behind(function)
        if self._is_on_top(function):
            self._set_code(function, code)
        return function.__code__ is code

    def _install(
        self,
        function: FunctionType,
        steps: tuple[Step, ...],
        clone: FunctionType | None,
    ) -> None:
        code = self._behind(function) if clone is None else clone.__code__
        trampoline = exact(code, clone, self._site, steps, self._driver)
        self._set_code(function, trampoline)
        self._trampoline = ref(trampoline)
        self._clone = _nothing if clone is None else ref(clone)

    def _is_on_top(self, function: FunctionType) -> bool:
        return without_injection(function.__code__) is self._trampoline()

    def _behind(self, function: FunctionType) -> CodeType:
        """The code that the trampoline runs."""
        clone, trampoline = self._clone(), self._trampoline()
        if clone is not None:
            return clone.__code__
        present = function.__code__ if self._is_on_top(function) else trampoline
        assert present is not None
        code = code_to_clone(present)
        assert code is not None
        return code

    def _set_code(self, function: FunctionType, code: CodeType) -> None:
        function.__code__ = code
        function_version.write(function, self._version)


def _nothing() -> None:
    """A reference to what is not there."""


def _clone_of(function: FunctionType, code: CodeType) -> FunctionType:
    clone = FunctionType(
        code, function.__globals__, function.__name__, None, function.__closure__
    )
    clone.__qualname__ = function.__qualname__
    function_version.give_new(clone)
    return clone
