"""Code with the steps around it, in the function's own frame.

As with code swap the function keeps its identity and gets another code object, and
removal puts the very same one back. But the body is not called: it stands inside, so
frames, `stacklevel`, `locals()` and the depth of recursion are those of a function
without a probe. It takes longer to make than a trampoline, so it is for functions that
need it.

All changes happen under the lock of the table of hooks.
"""

from __future__ import annotations

from _weakref import ref
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception import function_version
from remora.agent.interception.inline import inline
from remora.agent.interception.inline_trial import failure
from remora.agent.interception.spliced import exchange
from remora.agent.targets import is_trampoline
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from remora.agent.interception.plan import Driver, Step

MECHANISM = "inlined"

_present: dict[int, Inlined] = {}
"""By the identity of code that was made: the interception it belongs to."""


class Inlined:
    """The interception of one function. Made by `interception.intercept`.

    It holds the function and what was made weakly: while the function lives it holds
    the code that was made.
    """

    __slots__ = (
        "_code",
        "_driver",
        "_function",
        "_made",
        "_site",
        "_steps",
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
        why: str,
    ) -> None:
        self.mechanism = MECHANISM
        self.why = why
        self._function = ref(function)
        self._site = site
        self._steps = steps
        self._driver = driver
        self._code = function.__code__
        self._version = function_version.read(function)
        made = inline(self._code, site, steps, driver)
        self._made = ref(made)
        self._install(function, made)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on. Raises CannotInterceptError."""
        function = self._function()
        if function is None:
            return  # nobody can call it
        if function.__code__ is not self._made():
            raise CannotInterceptError(
                f"another tool has replaced the code of {self._site} after us"
            )
        if any(step.phase == "body" for step in steps):
            raise CannotInterceptError(
                f"the steps stand inside the code of {self._site} already, where what "
                "its body makes cannot be replaced"
            )
        made = inline(self._code, self._site, steps, self._driver)
        self._steps = steps
        self._install(function, made)

    def remove(self) -> bool:
        """Put the identical code object back; False where another tool is on top."""
        function, made = self._function(), self._made()
        if function is None or made is None:
            return True
        if function.__code__ is made:
            _present.pop(id(made), None)
            self._set_code(function, self._code)
            exchange(made, None)
        return function.__code__ is self._code

    def around(self, code: CodeType) -> CodeType:
        """The steps around other code: that with a probe on a line, or without."""
        return inline(code, self._site, self._steps, self._driver)

    def move(self, code: CodeType, made: CodeType) -> None:
        """Stand around other code from the next call on, as `around` has made it."""
        function = self._function()
        self._code = code
        if function is not None:
            self._install(function, made)

    @property
    def code(self) -> CodeType:
        """The code that the steps stand around."""
        return self._code

    def _install(self, function: FunctionType, made: CodeType) -> None:
        gone, identity = self._made(), id(made)
        self._made = ref(made, lambda _: _present.pop(identity, None))
        _present[identity] = self
        exchange(gone, made)
        self._set_code(function, made)
        if gone is not None and gone is not made:
            _present.pop(id(gone), None)

    def _set_code(self, function: FunctionType, code: CodeType) -> None:
        function.__code__ = code
        function_version.write(function, self._version)


def try_inlined(
    function: FunctionType,
    site: str,
    steps: tuple[Step, ...],
    driver: Driver,
    need: str,
) -> tuple[Inlined | None, str]:
    """An interception without a frame of its own; None and why there can be none."""
    if is_trampoline(function.__code__):
        return None, "it runs a trampoline"
    if any(step.phase == "body" for step in steps):
        return None, "what its body makes is replaced"
    problem = failure()
    if problem:
        return None, f"a trial failed: {problem}"
    why = f"a Python function: the steps stand inside its own code, because {need}"
    try:
        return Inlined(function, site, steps, driver, why), ""
    except ValueError as error:
        return None, str(error)


def inlined_with(code: CodeType) -> Inlined | None:
    """The interception that made this code, while it is there."""
    return _present.get(id(code))
