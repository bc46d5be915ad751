r"""The patterns of `matches`: a small regular language, matched in linear time.

`re` backtracks: an innocent pattern can take years on a hostile text, and its dialect
is Python's alone. Here a pattern becomes an automaton, so each character costs about
one look into a dictionary, nested repetitions included, and both runtimes agree.

There are: characters, `.` (no newline), `[a-z]` and `[^a-z]`, `\d \w \s` and their
capitals (ASCII), `\n \r \t`, `\` before punctuation, `(…)` and `(?:…)` as groups, `|`,
`* + ?`, `{m}`, `{m,}`, `{m,n}`, and `^` and `$` for the start and the end of the text.
There are no back references, look-arounds, flags, lazy or possessive repetitions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from remora.errors import ExpressionError
from remora.expression.automaton import Automaton, CharacterSet, Matcher
from remora.expression.containers import Kind, kind_of, plain_text
from remora.expression.missing import TOO_LARGE, WRONG_TYPE
from remora.expression.reading import AppValue

if TYPE_CHECKING:
    from collections.abc import Callable

PATTERN_LIMIT = 500
"""Characters of a pattern."""

MATCHED_TEXT_LIMIT = 10_000
"""Code points of a text that is matched: under 1 ms. Longer ones are missing (size)."""

_REPEAT_LIMIT = 500
_NESTING_LIMIT = 20

_CLASSES: dict[str, tuple[tuple[str, str], ...]] = {
    "d": (("0", "9"),),
    "w": (("a", "z"), ("A", "Z"), ("0", "9"), ("_", "_")),
    "s": ((" ", " "), ("\t", "\r")),
}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_COUNTS = re.compile(r"\{([0-9]{1,4})(,([0-9]{0,4}))?\}")
_ANY: CharacterSet = (True, (("\n", "\n"),))

_Piece = tuple[int, int]
"""The first and the last state of a part of the automaton."""


def check_pattern(pattern: str) -> None:
    """Raise ExpressionError where a pattern is outside the language."""
    _compiled(pattern)


def compile_pattern(pattern: str) -> Callable[[AppValue], AppValue]:
    """A function that says whether the pattern occurs in a text."""
    occurs_in = _compiled(pattern).occurs_in

    def matches(value: AppValue) -> AppValue:
        kind = kind_of(value)
        if kind is not Kind.TEXT:
            return value if kind is Kind.MISSING else WRONG_TYPE
        if str.__len__(value) > MATCHED_TEXT_LIMIT:
            return TOO_LARGE
        verdict = occurs_in(plain_text(value))
        return TOO_LARGE if verdict is None else verdict

    return matches


@lru_cache(64)
def _compiled(pattern: str) -> Matcher:
    if len(pattern) > PATTERN_LIMIT:
        raise ExpressionError(
            f"pattern {pattern[:40]!r}… is longer than {PATTERN_LIMIT} characters"
        )
    return _Reader(pattern).matcher()


class _Reader:
    """Reads a pattern from left to right and builds its automaton.

    A repetition is built by reading the repeated text again, once for each copy.
    """

    __slots__ = ("_automaton", "_depth", "_pattern", "_position")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._depth = 0
        self._automaton = Automaton()

    def matcher(self) -> Matcher:
        start, end = self._alternatives()
        if self._position < len(self._pattern):
            self._refuse("')' closes nothing")
        return Matcher(self._automaton, start, end)

    def _refuse(self, why: str) -> NoReturn:
        raise ExpressionError(
            f"pattern {self._pattern[:100]!r}, character {self._position + 1}: {why}; "
            "docs/expressions.md lists what patterns may hold"
        )

    def _ahead(self) -> str:
        return self._pattern[self._position : self._position + 1]

    def _take(self) -> str:
        character = self._ahead()
        if not character:
            self._refuse("the pattern ends too early")
        self._position += 1
        return character

    def _alternatives(self) -> _Piece:
        automaton = self._automaton
        start, end = automaton.state(), automaton.state()
        while True:
            first, last = self._sequence()
            automaton.jump(start, first)
            automaton.jump(last, end)
            if self._ahead() != "|":
                return start, end
            self._position += 1

    def _sequence(self) -> _Piece:
        start = end = self._automaton.state()
        while self._ahead() not in {"", "|", ")"}:
            first, last = self._repeated()
            self._automaton.jump(end, first)
            end = last
        return start, end

    def _repeated(self) -> _Piece:
        """An item with what is said of how often it occurs."""
        automaton = self._automaton
        begin = self._position
        piece = self._item()
        counts = self._counts()
        if counts is None:
            return piece
        if self._pattern[begin] in "^$":
            self._refuse("'^' and '$' cannot be repeated")
        least, most = counts
        resume = self._position
        if self._ahead() in {"*", "+", "?", "{"}:
            self._refuse("one repetition cannot follow another")
        start = automaton.state()
        end = start
        exits = [start] if least == 0 else []
        for copy in range(max(least, most or 1)):
            if copy:
                self._position = begin
                piece = self._item()
            automaton.jump(end, piece[0])
            end = piece[1]
            if copy + 1 >= least:
                exits.append(end)
        if most is None:
            automaton.jump(piece[1], piece[0])
        self._position = resume
        if most == 0:
            return start, start
        final = automaton.state()
        for source in exits:
            automaton.jump(source, final)
        return start, final

    def _counts(self) -> tuple[int, int | None] | None:
        character = self._ahead()
        if character in {"*", "+", "?"}:
            self._position += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if character != "{":
            return None
        match = _COUNTS.match(self._pattern, self._position)
        if match is None:
            self._refuse("'{' starts a repetition such as {2} or {1,3}; write '\\{'")
        least = int(match[1])
        most = least if match[2] is None else int(match[3]) if match[3] else None
        if least > _REPEAT_LIMIT or (most or 0) > _REPEAT_LIMIT:
            self._refuse(f"a repetition goes up to {_REPEAT_LIMIT}")
        if most is not None and most < least:
            self._refuse("the repetition ends before it starts")
        self._position = match.end()
        return least, most

    def _item(self) -> _Piece:
        character = self._take()
        if character == "(":
            return self._group()
        if character in "^$":
            start, end = self._automaton.state(), self._automaton.state()
            self._automaton.jump(start, end, character)
            return start, end
        if character in "*+?{":
            self._position -= 1
            self._refuse(f"{character!r} has nothing to repeat; write '\\{character}'")
        if character == ".":
            return self._consuming(_ANY)
        if character == "[":
            return self._consuming(self._brackets())
        if character == "\\":
            return self._consuming(self._escape())
        return self._consuming((False, ((character, character),)))

    def _consuming(self, characters: CharacterSet) -> _Piece:
        start, end = self._automaton.state(), self._automaton.state()
        self._automaton.consume(start, characters, end)
        return start, end

    def _group(self) -> _Piece:
        if self._ahead() == "?":
            if not self._pattern.startswith("?:", self._position):
                self._refuse("groups are '(…)' or '(?:…)': no look-around, no names")
            self._position += 2
        self._depth += 1
        if self._depth > _NESTING_LIMIT:
            self._refuse(f"groups are nested deeper than {_NESTING_LIMIT}")
        piece = self._alternatives()
        if self._take() != ")":
            self._refuse("a group is not closed")
        self._depth -= 1
        return piece

    def _escape(self) -> CharacterSet:
        character = self._take()
        ranges = _CLASSES.get(character.lower())
        if ranges is not None:
            return character.isupper(), ranges
        literal = self._literal(character)
        return False, ((literal, literal),)

    def _literal(self, escaped: str) -> str:
        """The character that a backslash and this one stand for."""
        if escaped in _CONTROLS:
            return _CONTROLS[escaped]
        if escaped.isalnum():
            self._refuse(
                f"'\\{escaped}' is not known; known are \\d \\w \\s \\n \\r \\t"
            )
        return escaped

    def _brackets(self) -> CharacterSet:
        negated = self._ahead() == "^"
        if negated:
            self._position += 1
        ranges: list[tuple[str, str]] = []
        while self._ahead() != "]" or not ranges:
            if self._ahead() == "]":
                self._refuse("a set in brackets is empty; write '\\]' for a bracket")
            ranges += self._bracket_part()
        self._position += 1
        return negated, tuple(ranges)

    def _bracket_part(self) -> tuple[tuple[str, str], ...]:
        low = self._take()
        if low == "\\":
            escaped = self._take()
            if escaped in _CLASSES:
                return _CLASSES[escaped]
            low = self._literal(escaped)
        following = self._pattern[self._position : self._position + 2]
        if len(following) < 2 or following[0] != "-" or following[1] == "]":
            return ((low, low),)
        self._position += 1
        high = self._take()
        if high == "\\":
            high = self._literal(self._take())
        if high < low:
            self._refuse(f"the range {low}-{high} ends before it starts")
        return ((low, high),)
