"""uWSGI, which forks without telling the interpreter.

No at-fork callback runs there. What a worker does run, before its first request, is the
function that stands as `post_fork_hook` in the module `uwsgi`, which the server puts
into `sys.modules` itself. Ours calls the one that stood there. An app sets its own when
it is imported, so whoever chains looks again after each import. With lazy-apps a worker
runs the hook before it imports the app: then the process id tells.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_HOOK = "post_fork_hook"


class PostForkHook:
    """Calls a function in each worker that uWSGI forks."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._former: Callable[[], object] | None = None
        self._is_on = True

    def chain(self) -> None:
        """Stand as the hook, if the server is here and something else stands there."""
        module = sys.modules.get("uwsgi")
        if not _is_server(module):
            return
        former = getattr(module, _HOOK, None)
        if former is not self:
            self._former = former
            setattr(module, _HOOK, self)

    def remove(self) -> None:
        """Put back what stood there; where another stands above us, only be silent."""
        self._is_on = False
        module = sys.modules.get("uwsgi")
        if getattr(module, _HOOK, None) is not self:
            return
        if self._former is None:
            delattr(module, _HOOK)
        else:
            setattr(module, _HOOK, self._former)

    def __call__(self) -> None:
        """Run in the worker: ours first, because an app's hook may never return."""
        if self._is_on:
            self._function()
        if self._former is not None:
            self._former()


def has_master() -> bool:
    """Whether a process leads the workers; without one the first worker forks."""
    module = sys.modules.get("uwsgi")
    return _is_server(module) and getattr(module, "masterpid", int)() > 0


def _is_server(module: ModuleType | None) -> bool:
    """The server's own module, and not a stub of it that a test or an IDE brings."""
    return module is not None and hasattr(module, "worker_id")
