"""Texts on their way to be inputs, counted against the bounds of one request."""

from __future__ import annotations

import re

from remora.detection import Input
from remora.detection.inputs import INPUTS_LIMIT

CHARACTERS_LIMIT = 2 * 1024 * 1024
"""Characters of all texts: a body in its pieces and as a whole, in two charsets."""

SMALL_COUNT = 200
"""Inputs of a request of which forms are made when one of them may be in an argument:
nearly all requests. An input has a dozen forms at most, so bounds are far away."""

SMALL_LENGTH = 64 * 1024
"""Characters of them: a form is at most 18 times as long (NFKC of one letter)."""

NAME_LIMIT = 200
"""Characters of a parameter's name as records show it; as an input it is whole."""

_IS_WORD = re.compile(r"\w*\Z")


class Collected:
    """What was found so far; `cut` says why something is missing, or is empty."""

    __slots__ = ("_characters", "_seen", "cut", "inputs")

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.cut = ""
        self._characters = 0
        self._seen: set[str] = set()

    def add(self, text: str, source: str, parameter: str) -> bool:
        """Take one text in; False where there is no room for more."""
        if not text or text in self._seen:
            return True
        self._characters += len(text)
        if len(self.inputs) >= INPUTS_LIMIT:
            self.note_cut(f"the request has more than {INPUTS_LIMIT} inputs")
            return False
        if self._characters > CHARACTERS_LIMIT:
            self.note_cut(f"the inputs have more than {CHARACTERS_LIMIT} characters")
            return False
        self._seen.add(text)
        self.inputs.append(Input(text, source, parameter[:NAME_LIMIT]))
        return True

    def add_name(self, name: str, source: str) -> bool:
        """Take a parameter's name in.

        A plain word is left out: it is the app's own word, and breaks out of nothing.
        """
        return _IS_WORD.match(name) is not None or self.add(name, source, name)

    @property
    def is_small(self) -> bool:
        """Whether these are so few and short that all their forms are taken in too."""
        return len(self.inputs) <= SMALL_COUNT and self._characters <= SMALL_LENGTH

    def note_cut(self, reason: str) -> None:
        """Something is missing; the first reason is the one that is told."""
        self.cut = self.cut or reason
