r"""SQL as tokens, as the dialect's own lexer cuts it.

A dialect is a row of `_DIALECTS`: which quotes there are, what escapes in them, and
what starts a comment. From each row two patterns are made. One reads a single token.
The other runs, in one match in C, over everything that is complete before a given
place, so that of a long statement only the tokens around the input are read in Python.
Neither goes back over what it has read: repetitions are possessive.

A token that is not closed (a quote without its end) is of kind `open` and takes the
rest of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from remora.values import frozen

DIALECTS = ("generic", "sqlite", "postgresql", "mysql")

_ALIASES = {"sqlite3": "sqlite", "postgres": "postgresql", "mariadb": "mysql"}

TOKENS_LIMIT = 20_000
"""Tokens read in Python for one argument: some 10 ms."""

_CONTEXT = 64
"""Characters before an input that are read as tokens, for what the input follows."""


_STANDARD = r"'[^']*+(?:''[^']*+)*+'"
_ESCAPED = r"'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'"
_IDENTIFIER = r'"[^"]*+(?:""[^"]*+)*+"'
_DOUBLE = r'"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+"'
_BACKTICK = r"`[^`]*+(?:``[^`]*+)*+`"
_LINE = r"--[^\n]*+"
_LINE_MYSQL = r"--(?=[\s\x00-\x1f]|\Z)[^\n]*+|\#[^\n]*+"
_BLOCK = r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/"
_BLOCK_MYSQL = r"/\*(?![!M])[^*]*+(?:\*(?!/)[^*]*+)*+\*/"
_DOLLAR = r"\$(?P<tag>(?:[^\W\d]\w*+)?)\$.*?\$(?P=tag)\$"

_NUMBER = (
    r"0[xX][0-9a-fA-F_]++|\d[\d_]*+(?:\.[\d_]*+)?(?:[eE][+-]?\d++)?"
    r"|\.\d++(?:[eE][+-]?\d++)?"
)
_WORD = r"[^\W\d][\w$]*+"
_PARAMETER = r"%\(\w++\)s|%s|\?\d*+|[:@$]{1,2}\w++"
_OPERATOR = r"/\*M?!\d*+|\*/|::|:=|\|\|/?|<=>|<=|>=|<>|!=|!!|==|<<|>>|&&|->>?|=>|\*\*|."


@frozen
class _Dialect:
    string: str
    name: str
    comment: str
    opening: str
    skipped: str


_DIALECTS = {
    "generic": _Dialect(
        string=rf"[nNbBxX]?{_STANDARD}",
        name=_IDENTIFIER,
        comment=rf"{_LINE}|{_BLOCK}",
        opening=r"['\"]|/\*",
        skipped=rf"[^'\"\-/]++|{_STANDARD}|{_IDENTIFIER}|{_LINE}\n|{_BLOCK}",
    ),
    "sqlite": _Dialect(
        string=rf"[xX]?{_STANDARD}",
        name=rf"{_IDENTIFIER}|{_BACKTICK}|\[[^\]]*+\]",
        comment=rf"{_LINE}|{_BLOCK}",
        opening=r"['\"`\[]|/\*",
        skipped=rf"[^'\"`\[\-/]++|{_STANDARD}|{_IDENTIFIER}|{_BACKTICK}"
        rf"|\[[^\]]*+\]|{_LINE}\n|{_BLOCK}",
    ),
    # Nested comments and quotes between dollars are left to be read as tokens.
    "postgresql": _Dialect(
        string=rf"[eE]{_ESCAPED}|(?:[nNbBxX]|[uU]&)?{_STANDARD}|{_DOLLAR}",
        name=rf"(?:[uU]&)?{_IDENTIFIER}",
        comment=_LINE,
        opening=r"['\"]|/\*|\$(?:[^\W\d]\w*+)?\$",
        skipped=rf"[^'\"$\-/]++|(?<!\b[eE]){_STANDARD}|(?<=\b[eE]){_ESCAPED}"
        rf"|{_IDENTIFIER}|{_LINE}\n|\$\d",
    ),
    "mysql": _Dialect(
        string=rf"(?:[nNbBxX]|_\w++\s*+)?{_ESCAPED}|{_DOUBLE}",
        name=_BACKTICK,
        comment=rf"{_LINE_MYSQL}|{_BLOCK_MYSQL}",
        opening=r"['\"`]|/\*(?![!M])",
        skipped=rf"[^'\"`#\-/]++|{_ESCAPED}|{_DOUBLE}"
        rf"|{_BACKTICK}|--(?=[\s\x00-\x1f])[^\n]*+\n|\#[^\n]*+\n"
        rf"|{_BLOCK_MYSQL}|--(?=[^\s\x00-\x1f])|/\*(?=[!M])",
    ),
}

_NESTED = re.compile(r"/\*|\*/")
_BACK = frozenset(":@%|<>=!&~^+*?.$&")
_PLAIN_QUOTES = frozenset("'\"`[")
_RUN = 1024
_IS_RUN = re.compile(rf"[\w{re.escape(''.join(sorted(_BACK)))}]*+").fullmatch
"""Whether all characters of a piece are such as `_goes_on` means."""

_LEAD = re.compile(r"(?:[a-zA-Z]&?|_\w+\s*)?(\$\w*\$|.)", re.DOTALL)


@frozen
class Lexer:
    """The two patterns of a dialect; whether comments nest, and backslashes escape."""

    token: re.Pattern[str]
    skip: re.Pattern[str]
    nests: bool
    has_escapes: bool


class Token(NamedTuple):  # a tuple: up to 20,000 of them are made for one check
    """A piece of a statement; `lead` and `trail` are the lengths of its delimiters."""

    kind: str
    start: int
    end: int
    lead: int = 0
    trail: int = 0


def _compile(name: str) -> Lexer:
    dialect = _DIALECTS[name]
    token = (
        rf"(?P<space>[\s\x00]++)|(?P<comment>{dialect.comment})"
        rf"|(?P<string>{dialect.string})|(?P<name>{dialect.name})"
        rf"|(?P<open>(?:{dialect.opening}).*+)"
        rf"|(?P<number>{_NUMBER})|(?P<word>{_WORD})|(?P<parameter>{_PARAMETER})"
        rf"|(?P<operator>{_OPERATOR})"
    )
    skip = rf"(?:{dialect.skipped}|-(?!-)(?=.)|/(?!\*)(?=.))*+"
    return Lexer(
        re.compile(token, re.DOTALL),
        re.compile(skip, re.DOTALL),
        name == "postgresql",
        name == "mysql",
    )


_lexers: dict[str, Lexer] = {}
"""Made when they are asked for: an app has one or two, and each takes a millisecond."""


def lexer_of(dialect: str) -> Lexer:
    """The lexer of a dialect; one that is not known is read as the standard says."""
    name = _ALIASES.get(dialect.lower(), dialect.lower())
    name = name if name in _DIALECTS else "generic"
    lexer = _lexers.get(name)
    if lexer is None:
        lexer = _lexers[name] = _compile(name)
    return lexer


class Reader:
    """Reads the tokens around places of one statement, from left to right."""

    __slots__ = ("_lexer", "_position", "_starts", "_text", "tokens", "was_cut")

    def __init__(self, text: str, lexer: Lexer) -> None:
        self._text = text
        self._lexer = lexer
        self._position = 0
        self._starts: list[int] = []
        self.tokens: list[Token] = []
        self.was_cut = False

    def around(self, start: int, end: int) -> tuple[int, int]:
        """Which of `tokens` the place touches; places come in the order of `start`."""
        self._skip_to(start - _CONTEXT)
        while self._position < end and not self.was_cut:
            self._read()
        for _ in range(2):
            if self._position < len(self._text) and not self.was_cut:
                self._read()
        first = max(bisect_right(self._starts, start) - 1, 0)
        if first < len(self.tokens) and self.tokens[first].end <= start:
            first += 1
        last = bisect_right(self._starts, end - 1)
        return first, last

    def _skip_to(self, target: int) -> None:
        """Go near the target, which has to lie beyond what was read."""
        text, skip = self._text, self._lexer.skip
        while self._position < target and not self.was_cut:
            match = skip.match(text, self._position, target)
            reached = match.end() if match else self._position
            if reached < target:
                self._position = reached
                self._read()
                continue
            reached = self._back_to_start(reached)
            if reached == self._position:
                self._read()
            self._position = max(reached, self._position)
            return

    def _back_to_start(self, reached: int) -> int:
        """To the start of the word or of the signs that go on there."""
        text, first = self._text, self._position
        while reached - _RUN >= first and _IS_RUN(text, reached - _RUN, reached):
            reached -= _RUN
        while reached > first and _goes_on(text[reached - 1]):
            reached -= 1
        return reached

    def _read(self) -> None:
        """Read one token; spaces are left out."""
        if len(self.tokens) >= TOKENS_LIMIT:
            self.was_cut = True
            return
        position = self._position
        if self._lexer.nests and self._text.startswith("/*", position):
            token = _read_nested(self._text, position)
            self.was_cut = token.kind == "cut"
        else:
            match = self._lexer.token.match(self._text, position)
            if match is None:
                self._position = len(self._text)
                return
            token = _token(self._text, _kind(match), position, match.end())
        self._position = token.end
        if token.kind != "space":
            self.tokens.append(token)
            self._starts.append(position)


def _goes_on(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or letter in _BACK


def _kind(match: re.Match[str]) -> str:
    # The tag of a dollar quote is a group too, and closes before its string.
    kind = match.lastgroup or "string"
    return "string" if kind == "tag" else kind


def _token(text: str, kind: str, start: int, end: int) -> Token:
    if kind in {"string", "name", "open"}:
        if text[start] in _PLAIN_QUOTES:
            return Token(kind, start, end, 1, 0 if kind == "open" else 1)
        match = _LEAD.match(text, start, end)
        quote = len(match.group(1)) if match else 1
        lead = match.end() - start if match else 1
        return Token(kind, start, end, lead, 0 if kind == "open" else quote)
    if kind == "comment":
        if text.startswith("/*", start):
            return Token(kind, start, end, 2, 2)
        return Token(kind, start, end, 1 if text[start] == "#" else 2)
    return Token(kind, start, end)


def _read_nested(text: str, start: int) -> Token:
    depth = 0
    for count, match in enumerate(_NESTED.finditer(text, start)):
        if count >= TOKENS_LIMIT:
            return Token("cut", start, len(text))
        depth += 1 if match.group() == "/*" else -1
        if not depth:
            return Token("comment", start, match.end(), 2, 2)
    return Token("open", start, len(text), 2)
