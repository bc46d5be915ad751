"""Functions within functions: every closure of one `def`, those made later too.

The trampoline makes its clone at each call, from the cells and globals of the closure
that is called, so one code object serves all closures. It stands in two places: in the
closures that exist, which the collector finds by their code, and among the constants
of the code around them, exchanged in place, so that closures to come are made of it.
The functions around keep their very code object, and frames of them that are running
already are reached.

What else may stand there keeps its place: a closure that is diverted by its own name
as well has a clone, and the clone is found as a function like others. On 3.11 code may
carry calls at its lines; then the trampoline does so in a variant made for that code.

All changes happen under the lock of the table of hooks.
"""

from __future__ import annotations

import gc
from _weakref import ref
from sys import getrefcount
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING

from remora.agent.interception import function_version
from remora.agent.interception.closures import functions_with
from remora.agent.interception.trampoline import exact
from remora.agent.runtime import code_constants, originals
from remora.agent.runtime.frame_locals import CO_OPTIMIZED
from remora.agent.targets import (
    INJECTION_MARK,
    code_to_clone,
    running_code,
    without_injection,
)
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.interception.plan import Driver, Step
    from remora.agent.targets import Site

MECHANISM = "code swap of closures"
WHY = (
    "a function within a function: its code is replaced in every closure ({} existed "
    "at installation) and where closures to come are made"
)
_HIDDEN = (
    "; gc.freeze() has hidden older objects: closures among them are reached where "
    "names of modules, classes, decorators or a table lead to them"
)

_SEARCH_SHARE = 100
"""What is searched again is searched after this many times what it took before: at
most a hundredth of one core goes into waiting for another tool to leave."""


def intercept_nested(site: Site, steps: tuple[Step, ...], driver: Driver) -> NestedCode:
    """Divert all closures of a code object. Raises CannotInterceptError."""
    code = site.code
    assert code is not None
    if not code.co_flags & CO_OPTIMIZED:
        raise CannotInterceptError(
            f"{site.target} is the body of class {code.co_name}, which runs when the "
            "class is made: name one of its methods"
        )
    if not code_constants.CAN_EXCHANGE:
        raise CannotInterceptError(
            f"{site.target} is a {site.kind.value}: each call of the function around "
            "it makes another one from its constants, which can only be exchanged in "
            "memory, and the self-test for that did not pass in this process: name "
            "the place where one of them is kept"
        )
    return NestedCode(code, site.owner, site.target, steps, driver)


class NestedCode:
    """The interception of one code object. Made by `intercept_nested`.

    It holds nothing of the app but weakly: code that is gone needs no hooks.
    """

    __slots__ = (
        "_code",
        "_driver",
        "_outer",
        "_search_again_at",
        "_site",
        "_trampoline",
        "mechanism",
        "why",
    )

    def __init__(
        self,
        code: CodeType,
        outer: FunctionType,
        site: str,
        steps: tuple[Step, ...],
        driver: Driver,
    ) -> None:
        self.mechanism = MECHANISM
        self._driver = driver
        self._site = site
        self._code = ref(code)
        self._outer = ref(outer)
        self._search_again_at = 0.0
        trampoline = exact(code, None, site, steps, driver)
        self._trampoline = ref(trampoline)
        count, is_complete = self._exchange(code, trampoline)
        self.why = WHY.format(count) + ("" if is_complete else _HIDDEN)

    def update(self, steps: tuple[Step, ...]) -> None:
        """Take other steps from the next call on."""
        code, before = self._code(), self._trampoline()
        if code is None or before is None:
            return  # nothing of it is left that could be called
        trampoline = exact(code, None, self._site, steps, self._driver)
        self._trampoline = ref(trampoline)
        self._exchange(before, trampoline)

    def remove(self) -> bool:
        """Put the identical code back everywhere; False where another tool keeps ours.

        Such a tool may put ours back when it leaves, so it is looked for again.
        """
        now = originals.monotonic()
        trampoline = self._trampoline()
        if trampoline is None:
            return True
        if now < self._search_again_at:
            return False
        self._exchange(trampoline, None)
        is_kept = getrefcount(trampoline) > _OURS and any(
            type(keeper) in _KEEPERS for keeper in gc.get_referrers(trampoline)
        )
        took = originals.monotonic() - now
        self._search_again_at = now + _SEARCH_SHARE * took
        return not is_kept

    def _exchange(self, old: CodeType, new: CodeType | None) -> tuple[int, bool]:
        """Put `new`, or without it what is behind, in the place of `old`.

        Returns how many functions had it, and whether all were searched.
        """
        outer = self._outer()
        change = _Change(old, new)
        if outer is not None:
            # before the search: who makes closures meanwhile makes them of the new code
            change.within(running_code(outer.__code__))
        functions, is_complete = functions_with(old, outer)
        for function in functions:
            change.of(function)
        return change.count, is_complete


_KEEPERS = (CellType, FunctionType, dict, list, tuple)
"""What another tool may keep a code object in. Frames that run it need no care."""

_OURS = 2
"""References to an object that only the caller of `getrefcount` holds."""


class _Change:
    """One exchange of a code object, wherever it stands."""

    __slots__ = ("_new", "_old", "_seen", "_variants", "count")

    def __init__(self, old: CodeType, new: CodeType | None) -> None:
        self._old = old
        self._new = new
        self._seen: set[int] = set()
        self._variants: dict[int, CodeType] = {}
        self.count = 0

    def of(self, function: FunctionType) -> None:
        """Change the code of a function, or the code within."""
        code = function.__code__
        if without_injection(code) is self._old:
            version = function_version.read(function)
            function.__code__ = self._instead_of(code)
            function_version.write(function, version)
            self.count += 1
        else:
            self.within(code)

    def within(self, code: CodeType) -> None:
        """Change what stands among the constants, at any depth."""
        for outer, position, constant in list(self._places(code)):
            code_constants.exchange(outer, position, self._instead_of(constant))

    def _places(self, code: CodeType) -> Iterator[tuple[CodeType, int, CodeType]]:
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        base = without_injection(code)
        if base is self._new or base is self._old:
            return  # the trampoline itself has the code for its clones
        for position, constant in enumerate(code.co_consts):
            if type(constant) is not CodeType:
                continue
            if without_injection(constant) is self._old:
                yield code, position, constant
            else:
                yield from self._places(constant)

    def _instead_of(self, code: CodeType) -> CodeType:
        """What follows the old code, or a variant of it with calls at lines."""
        behind = code_to_clone(code)
        inner = code if behind is None else behind
        if self._new is None:
            return inner
        own = code_to_clone(self._new)
        if inner is own:
            return self._new
        variant = self._variants.get(id(inner))
        if variant is None:
            constants = [inner if c is own else c for c in self._new.co_consts]
            variant = self._new.replace(
                co_consts=(*constants, INJECTION_MARK, self._new)
            )
            self._variants[id(inner)] = variant
        return variant
