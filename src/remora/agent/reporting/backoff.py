"""How long to wait after a failure, so that a fleet does not come back at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.runtime.originals import urandom

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 0.2
LIMIT_S = 30.0
JITTER = 0.5


def draw() -> float:
    """A random number from 0 up to 1, without the app's random generator."""
    return int.from_bytes(urandom(4), "big") / 2**32


class Backoff:
    """Doubling delays with a jitter of half their length either way."""

    def __init__(
        self,
        first_s: float = FIRST_S,
        limit_s: float = LIMIT_S,
        random: Callable[[], float] = draw,
    ) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._random = random
        self._delay_s = first_s

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        delay_s = self._delay_s
        self._delay_s = min(self._limit_s, delay_s * 2)
        return delay_s * (1 - JITTER + 2 * JITTER * self._random())

    def reset(self) -> None:
        """It worked: the next failure is the first."""
        self._delay_s = self._first_s
