"""Judges whether an input leaves the token of a statement that it was put into.

No break-out is input that stays inside one literal, quoted name or comment, or that is
one whole number, literal, word or parameter; a signed number; a name of several parts
with an order (`u.name desc`), as sorting by a column that the user chooses gives; a
list of literals that fills `IN (…)`. A bare word beside a comparison is one: where a
value was expected, a name compares a column with itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.inputs import locate
from remora.detection.sql.tokens import Reader, Token, lexer_of

if TYPE_CHECKING:
    from remora.detection.inputs import Input, Inputs, Occurrence

_CAN_MATTER = re.compile(r"\W").search
_AFTER_COMPARISON = re.compile(r"[=<>]\s*+([^\W\d][\w$]*+)").findall
_COMPARISONS = frozenset(("=", "==", "<", ">", "<=", ">=", "<>", "!=", "<=>"))
_CONSTANTS = frozenset(("TRUE", "FALSE", "NULL", "DEFAULT", "UNKNOWN", "ON", "OFF"))
_LITERALS = frozenset(("number", "string", "parameter"))
_OPERANDS = frozenset(("number", "string", "word", "name", "parameter"))
_BINARY = frozenset(("=", "==", "<", ">", "<=", ">=", "<>", "!=", "||", "*", ","))
_JOINS = frozenset(("WHERE", "AND", "OR", "FROM", "BY", "SELECT", "SET", "LIKE", "IN"))
_SIGNS = frozenset(("+", "-"))


def judge(argument: str, inputs: Inputs, dialect: str = "generic") -> Verdict:
    """Find the first input that changes the structure of an SQL statement."""
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    if not inputs.are_all(_CAN_MATTER):
        names = [inputs.named(word) for word in set(_AFTER_COMPARISON(argument))]
        found += [each for each in names if each is not None]
    places = locate(argument, [each for each in found if _says_something(each)])
    if isinstance(places, NotMade):
        return places
    if not places:
        return NotMade(inputs.cut) if inputs.cut else None
    reader = Reader(argument, lexer_of(dialect))
    for place in places:
        first, last = reader.around(place.start, place.end)
        if reader.was_cut:
            return NotMade("the statement has too many tokens")
        finding = _Judgement(argument, reader.tokens, first, last).judge(place)
        if finding:
            return finding
    return NotMade(inputs.cut) if inputs.cut else None


def words_in(statement: str) -> list[str]:
    """The words that matter if they are inputs: those beside a comparison."""
    return _AFTER_COMPARISON(statement)


def _says_something(each: Input) -> bool:
    """Quotes alone stand anywhere where a literal ends, and run nothing."""
    return len(each.text.strip("'\"`")) > 0 and len(each.text) > 1


class _Judgement:
    """One place of an input, with the tokens that it touches and those around it."""

    __slots__ = ("_after", "_argument", "_before", "_touched")

    def __init__(
        self, argument: str, tokens: list[Token], first: int, last: int
    ) -> None:
        self._argument = argument
        self._touched = tokens[first:last]
        self._before = tokens[max(first - 4, 0) : first]
        self._after = tokens[last : last + 2]

    def judge(self, place: Occurrence) -> Finding | None:
        touched = self._touched
        if not touched:
            return None
        first = touched[0]
        if len(touched) == 1:
            if first.start < place.start or first.end > place.end:
                return self._judge_part(place, first)
            if first.kind in {"comment", "open"}:
                sentence = f"begins {_NAMES[first.kind]}"
                return self._found(place, first.start, sentence)
        cut = self._cut_through(place)
        if cut is not None:
            return cut
        if self._is_name():
            return self._judge_name(place)
        if len(touched) == 1 or self._is_signed_number() or self._fills_a_list():
            return None
        if self._is_chance():
            return None
        sentence = f"is {len(touched)} tokens where one was meant"
        return self._found(place, touched[1].start, sentence)

    def _judge_part(self, place: Occurrence, token: Token) -> Finding | None:
        """The input is a part of one token: it must not hold the token's delimiters."""
        if token.kind in {"number", "word", "parameter", "operator"}:
            return None
        if place.start < token.start + token.lead:
            return self._found(place, token.start, f"begins {_NAMES[token.kind]}")
        if token.kind == "open":
            at = self._argument.find("'", place.start, place.end)
            if at < 0:
                return None
            return self._found(place, at, "leaves a quote without its end")
        if place.end > token.end - token.trail:
            return self._found(place, token.end - token.trail, "ends the quote")
        return None

    def _cut_through(self, place: Occurrence) -> Finding | None:
        """A quoted token with one end in the input and one outside."""
        first, last = self._touched[0], self._touched[-1]
        if first.start < place.start and (first.lead or first.trail):
            at = max(first.end - first.trail, place.start)
            return self._found(place, at, f"ends {_NAMES[first.kind]}")
        if last.end > place.end and (last.lead or last.trail):
            return self._found(place, last.start, f"begins {_NAMES[last.kind]}")
        return None

    def _judge_name(self, place: Occurrence) -> Finding | None:
        touched = self._touched
        if touched[0].start < place.start or touched[-1].end > place.end:
            return None
        if touched[0].kind == "word" and self._word(touched[0]) in _CONSTANTS:
            return None
        before = self._before[-1] if self._before else None
        after = self._after[0] if self._after else None
        if before is None or self._word(before) not in _COMPARISONS:
            return None
        if after is not None and self._text(after) in {".", "("}:
            return None
        return self._found(place, place.start, "is a name where a value was meant")

    def _is_name(self) -> bool:
        """A word, or words with points between them, and perhaps an order."""
        tokens = self._touched
        if len(tokens) > 1 and self._word(tokens[-1]) in {"ASC", "DESC"}:
            tokens = tokens[:-1]
        return len(tokens) % 2 == 1 and all(
            self._text(token) == "." if index % 2 else token.kind in {"word", "name"}
            for index, token in enumerate(tokens)
        )

    def _is_signed_number(self) -> bool:
        touched = self._touched
        if len(touched) != 2 or touched[1].kind != "number":
            return False
        before = self._before[-1] if self._before else None
        is_operand = before is not None and (
            before.kind in _LITERALS or self._text(before) == ")"
        )
        return self._text(touched[0]) in _SIGNS and not is_operand

    def _fills_a_list(self) -> bool:
        """Literals with commas between them, as the whole of `IN (…)`."""
        before, after = self._before[-2:], self._after[:1]
        if [self._word(token) for token in before] != ["IN", "("]:
            return False
        if [self._text(token) for token in after] != [")"]:
            return False
        return len(self._touched) % 2 == 1 and all(
            self._text(token) == "," if index % 2 else token.kind in _LITERALS
            for index, token in enumerate(self._touched)
        )

    def _is_chance(self) -> bool:
        """The input ends where an operand must follow, and follows none itself.

        One value in its place would stand directly before another value, which no
        statement has: the statement holds these words by itself.
        """
        last, after = self._touched[-1], self._after[:1]
        before = self._before[-1] if self._before else None
        if not after or after[0].kind not in {"string", "number", "parameter"}:
            return False
        if before is not None and before.kind in _LITERALS | {"name"}:
            return False
        is_word = before is not None and before.kind == "word"
        if is_word and before and self._word(before) not in _JOINS:
            return False
        ends = self._text(last) in _BINARY or self._word(last) in _JOINS
        return ends and self._touched[0].kind in _OPERANDS

    def _text(self, token: Token) -> str:
        return self._argument[token.start : token.end]

    def _word(self, token: Token) -> str:
        return self._text(token).upper() if token.end - token.start < 12 else ""

    def _found(self, place: Occurrence, broke_from: int, sentence: str) -> Finding:
        around = [self._shape(token) for token in self._before]
        rest = [self._shape(token) for token in self._after if token.start >= place.end]
        inside = [self._shape(token) for token in self._touched[:20]]
        return Finding(
            "sql",
            place.input,
            place.start,
            place.end,
            min(max(broke_from, place.start), place.end),
            f"the input {sentence}",
            " ".join([*around, "INPUT", *rest]),
            " ".join([*around, *inside, *rest]),
        )

    def _shape(self, token: Token) -> str:
        if token.kind in {"word", "operator"}:
            return self._text(token)[:24]
        return token.kind.upper()


_NAMES = {
    "string": "a string",
    "name": "a quoted name",
    "comment": "a comment",
    "open": "a quote that nothing ends",
}
