"""The first step of an async generator that runs inside another one of ours.

An event loop keeps a list of all async generators that have begun, to close them at its
end. It must know the outer one only: closing both at a time fails with "asynchronous
generator is already running" as soon as the inner one's `finally` awaits.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from remora.agent.interception.plan import AppValue


def first_step(generator: AsyncGenerator[AppValue, AppValue]) -> Awaitable[AppValue]:
    """Begin to run `generator` without telling the event loop of it."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
