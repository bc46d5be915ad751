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

COMPARISONS_LIMIT = 50_000
"""Signs of comparison in one statement, behind each of which a word is looked for."""

TOUCHED_LIMIT = 50_000
"""Tokens that all places of inputs touch together: inputs may overlap."""

_CAN_MATTER = re.compile(r"\W").search
_AFTER_COMPARISON = re.compile(
    r"(?:[=<>]|\b(?:LIKE|BETWEEN|IS)\s|\bIN\s*+\()\s*+([^\W\d][\w$]*+)", re.IGNORECASE
).findall
_COMPARISONS = frozenset(
    ("=", "==", "<", ">", "<=", ">=", "<>", "!=", "<=>", "LIKE", "ILIKE", "BETWEEN",
     "IS", "GLOB", "REGEXP", "RLIKE")
)  # fmt: skip
_CONSTANTS = frozenset(
    ("TRUE", "FALSE", "NULL", "DEFAULT", "UNKNOWN", "ON", "OFF", "NOT", "DISTINCT")
)
_LITERALS = frozenset(("number", "string", "parameter"))
_OPERANDS = frozenset(("number", "string", "word", "name", "parameter"))
_BINARY = frozenset(("=", "==", "<", ">", "<=", ">=", "<>", "!=", "||", "*", ","))
_JOINS = frozenset(("WHERE", "AND", "OR", "FROM", "BY", "SELECT", "SET", "LIKE", "IN"))
_UNCUT = frozenset(("", "url", "html", "base64", "lower", "upper", "joined"))
"""Forms that end where the input does: of others the app may have put the rest."""

_SIGNS = frozenset(("+", "-"))


def judge(argument: str, inputs: Inputs, dialect: str = "generic") -> Verdict:
    """Find the first input that changes the structure of an SQL statement."""
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    if not inputs.are_all(_CAN_MATTER):
        if sum(map(argument.count, "=<>")) > COMPARISONS_LIMIT:
            return NotMade("the statement has too many comparisons")
        names = [inputs.named(word) for word in set(_AFTER_COMPARISON(argument))]
        found += [each for each in names if each is not None]
    found[:] = [each for each in found if _says_something(each)]
    places = locate(argument, found)
    if isinstance(places, NotMade):
        return places
    if not places:
        return NotMade(inputs.cut) if inputs.cut else None
    lexer = lexer_of(dialect)
    reader = Reader(argument, lexer)
    touched = 0
    for place in places:
        first, last = span = reader.around(place.start, place.end)
        touched += last - first
        if reader.was_cut or touched > TOUCHED_LIMIT:
            return NotMade("the statement has too many tokens")
        judgement = _Judgement(
            argument, reader.tokens, span, has_escapes=lexer.has_escapes
        )
        finding = judgement.judge(place)
        if finding:
            return finding
    return NotMade(inputs.cut) if inputs.cut else None


def words_in(statement: str) -> list[str]:
    """The words that matter if they are inputs: those beside a comparison."""
    return _AFTER_COMPARISON(statement)


def _says_something(each: Input) -> bool:
    """Quotes alone stand anywhere where a literal ends, and run nothing."""
    text = each.text
    return len(text.strip("'\"`")) > 0 and (len(text) > 1 or text == "\\")


class _Judgement:
    """One place of an input, with the tokens that it touches and those around it."""

    __slots__ = ("_after", "_argument", "_before", "_has_escapes", "_touched")

    def __init__(
        self,
        argument: str,
        tokens: list[Token],
        span: tuple[int, int],
        *,
        has_escapes: bool,
    ) -> None:
        first, last = span
        self._argument = argument
        self._has_escapes = has_escapes
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
            if self._text(first).startswith("@@"):
                return self._found(place, first.start, "is a variable of the server")
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
        if place.end < token.end and self._takes_quote(place, token):
            return self._found(place, place.end - 1, "takes the quote behind it")
        if token.kind == "open":
            at = self._argument.find("'", place.start, place.end)
            if at < 0:
                return None
            return self._found(place, at, "leaves a quote without its end")
        if place.end > token.end - token.trail:
            return self._found(place, token.end - token.trail, "ends the quote")
        return None

    def _takes_quote(self, place: Occurrence, token: Token) -> bool:
        """Whether the input's end makes one character of the app's quote behind it.

        A backslash does where it escapes, and a quote that doubles it: but not where
        the app has doubled the input's own, and its quote still follows that.
        """
        text, end, floor = self._argument, place.end, token.start + token.lead
        quote = text[floor - 1]
        if text[end] != quote or place.input.form.rpartition(" ")[2] not in _UNCUT:
            return False
        escapes = self._has_escapes or text[token.start] in "eE"
        if escapes and _run_before(text, "\\", floor, end) % 2:
            return True
        run = _run_before(text, quote, floor, end)
        if escapes and _run_before(text, "\\", floor, end - run) % 2:
            run -= 1
        behind = end
        while text.startswith(quote, behind):
            behind += 1
        return run % 2 == 1 and (behind - end) % 2 == 1

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
        if before is None:
            return None
        if self._word(before) not in _COMPARISONS and not self._fills_in():
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

    def _fills_in(self) -> bool:
        """Whether the place is all of `IN (…)`, where values were meant."""
        before, after = self._before[-2:], self._after[:1]
        return [self._word(token) for token in before] == ["IN", "("] and [
            self._text(token) for token in after
        ] == [")"]

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
        if not self._fills_in():
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


def _run_before(text: str, letter: str, floor: int, end: int) -> int:
    """How often a letter stands in front of a place, one beside the other."""
    start = end
    while start > floor and text[start - 1] == letter:
        start -= 1
    return end - start


_NAMES = {
    "string": "a string",
    "name": "a quoted name",
    "comment": "a comment",
    "open": "a quote that nothing ends",
}
