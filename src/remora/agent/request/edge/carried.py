"""A request in other threads: what it starts there runs as a part of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.request.context import current_request, serve_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.interception import AppValue
    from remora.agent.request.context import RequestContext


class Carried:
    """A callable that runs within the request in which it was handed on."""

    __slots__ = ("_call", "_request")

    def __init__(self, request: RequestContext, call: Callable[..., AppValue]) -> None:
        self._request = request
        self._call = call

    def __call__(self, *args: AppValue, **kwargs: AppValue) -> AppValue:
        """Run it, and leave the thread as it was."""
        outer = current_request()
        serve_request(self._request)
        try:
            return self._call(*args, **kwargs)
        finally:
            serve_request(outer)


def carry(owner: AppValue, name: str) -> None:
    """Let one call of a method, at this object, run within the current request.

    Workers of an executor stay out: they serve whoever comes, and each piece of work
    brings its own request.
    """
    request, held = current_request(), getattr(owner, "__dict__", None)
    if request is None or type(held) is not dict or name in held:
        return
    futures = sys.modules.get("concurrent.futures.thread")
    target = held.get("_target")
    if target is not None and target is getattr(futures, "_worker", None):
        return
    call = getattr(owner, name)

    def run(*args: AppValue, **kwargs: AppValue) -> AppValue:
        held.pop(name, None)
        return Carried(request, call)(*args, **kwargs)

    held[name] = run
