"""What the demo says: plain words for people, or one line a step for scripts."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

WIDTH = 78


@dataclass(frozen=True, slots=True)
class Narration:
    """Writes to the terminal. `brief` leaves only the outcome of each step."""

    brief: bool

    def heading(self, number: int, title: str, words: str) -> None:
        """Begin a step."""
        if not self.brief:
            print(f"\n{number}. {title}\n")
            print(
                textwrap.fill(
                    words, WIDTH, initial_indent="   ", subsequent_indent="   "
                )
            )

    def show(self, line: str = "") -> None:
        """Something that was seen."""
        if not self.brief:
            print(f"     {line}".rstrip(), flush=True)

    def say(self, words: str) -> None:
        """Words to the person at the terminal."""
        if not self.brief:
            print(words, flush=True)

    def outcome(self, *, good: bool, sentence: str) -> None:
        """How a step ended."""
        if not self.brief:
            print()
        print(f"{'ok  ' if good else 'FAIL'} {sentence}", flush=True)
