"""The two moments at the end of a program: before its last callbacks, and after them.

`atexit` keeps an empty slot for ever once something was registered, and processes of
`multiprocessing` end without it. So `at_exit` uses threading's own list, which is
private but can be left without a trace; where it has moved, `atexit` serves. Nothing
tells of the second moment, except that the interpreter collects garbage between the
last callback of `atexit` and the end of the modules (Py_FinalizeEx in CPython's
Python/pylifecycle.c).
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def at_exit(
    function: Callable[[], None], meanwhile: Callable[[], None]
) -> Callable[[], None]:
    """Call `function` when the program ends. Returns the undo.

    Many programs begin threads and let the main one end: then that is not the end, and
    `meanwhile` is called; `function` follows when all threads have ended.
    """
    import threading

    callbacks = getattr(threading, "_threading_atexits", None)
    if not isinstance(callbacks, list):
        atexit.register(function)
        return lambda: atexit.unregister(function)

    # Where threads go on, a frame of the interpreter holds `at_end` until they end.
    held = [function, meanwhile]

    def at_end() -> None:
        callbacks.remove(at_end)  # the list lives on, and we must not live on with it
        own = threading.current_thread()
        if any(not t.daemon for t in threading.enumerate() if t is not own):
            atexit.register(held[0])
            held[1]()
        else:
            held[0]()

    def undo() -> None:
        if at_end in callbacks:
            callbacks.remove(at_end)
        elif held:
            atexit.unregister(held[0])
        held.clear()

    callbacks.append(at_end)
    return undo


def before_modules_end(function: Callable[[], None]) -> None:
    """Call `function` after the last callback of `atexit`. To be asked for `at_exit`.

    Where the app has switched the collector off there is no such moment, and the call
    comes before those callbacks.
    """
    if not gc.isenabled():
        atexit.register(function)
        return
    waiting = [function]

    def collecting(_phase: str, _statistics: dict[str, int]) -> None:
        if sys.is_finalizing() and waiting:
            waiting.pop()()

    gc.callbacks.append(collecting)
