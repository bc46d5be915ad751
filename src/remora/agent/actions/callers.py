"""The callers of a firing as a key to count by: cheap where they were seen before.

A stack is known by its code objects and the places in them; its texts are made once.
The code objects are kept with them, so that no other can take the id of one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.capture import is_own_code

if TYPE_CHECKING:
    from types import CodeType, FrameType

CALLERS_LIMIT = 16
"""Frames of a key: enough to tell the ways to a function apart."""

_FRAMES_LIMIT = 40
"""Frames that are looked at, ours among them."""

_KNOWN_LIMIT = 2000
_TEXT_LIMIT = 120

CALLERS = "callers"
"""The first part of such a key; the second is the texts of the frames."""


class Callers:
    """Makes the keys; one for each gate."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[
            tuple[int, ...], tuple[tuple[str, tuple[str, ...]], list[CodeType]]
        ] = {}

    def key(self) -> tuple[str, tuple[str, ...]]:
        """The key of the stack as it is now, from the caller of the target outwards."""
        first = frame = sys._getframe(1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the stack
        places: list[int] = []
        for _ in range(_FRAMES_LIMIT):
            if frame is None:
                break
            places += (id(frame.f_code), frame.f_lasti)
            frame = frame.f_back
        known = self._known.get(place := tuple(places))
        if known is None:
            known = _read(first)
            if len(self._known) >= _KNOWN_LIMIT:
                self._known.clear()
            self._known[place] = known
        return known[0]


def _read(
    frame: FrameType | None,
) -> tuple[tuple[str, tuple[str, ...]], list[CodeType]]:
    texts: list[str] = []
    codes: list[CodeType] = []
    for _ in range(_FRAMES_LIMIT):
        if frame is None:
            break
        code = frame.f_code
        codes.append(code)
        if not is_own_code(code) and len(texts) < CALLERS_LIMIT:
            file = code.co_filename[-_TEXT_LIMIT:]
            name = code.co_qualname[:_TEXT_LIMIT]
            texts.append(f"{name} ({file}:{frame.f_lineno or 0})")
        frame = frame.f_back
    return (CALLERS, tuple(texts)), codes
