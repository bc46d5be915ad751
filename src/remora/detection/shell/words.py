"""A command line of a POSIX shell as words, operators and what is active in them.

A word is cut into pieces: plain text, quotes, escapes and expansions. What is inside
`$(…)` is read on as words and operators, with quotes of its own.
"""

from __future__ import annotations

import re

from remora.values import frozen

PIECES_LIMIT = 8000
"""Pieces read of one command line: some 10 ms; people write a hundred."""

_PIECE = re.compile(
    r"(?P<blank>[ \t\r]++)|(?P<operator>&&|\|\||;;|<<-?|>>|[<>]&|>\||<>|[;&|<>()\n])"
    r"|(?P<single>'[^']*+')|(?P<escape>\\(?:.|\Z))|(?P<quote>\")"
    r"|(?P<expansion>\$\(\(?|\$\{|\$[A-Za-z_]\w*+|\$[0-9@*#?$!-]|`)"
    r"|(?P<open>'.*+)|(?P<comment>\#[^\n]*+)|(?P<text>[^ \t\r\n;&|<>()'\"\\$`\#]++|.)",
    re.DOTALL,
)
_OPENING = frozenset(("(", "$(", "$(("))
_QUOTED = re.compile(
    r"(?P<escape>\\[$`\"\\\n])|(?P<quote>\")"
    r"|(?P<expansion>\$\(\(?|\$\{|\$[A-Za-z_]\w*+|\$[0-9@*#?$!-]|`)"
    r"|(?P<text>[^\\\"$`]++|.)",
    re.DOTALL,
)


@frozen
class Piece:
    """A piece of the line; `in_quotes` is true between double quotes."""

    kind: str
    start: int
    end: int
    in_quotes: bool = False


@frozen
class Word:
    """Pieces without a blank between them; `is_first` where a command begins."""

    start: int
    end: int
    is_first: bool


def read_pieces(line: str) -> list[Piece] | None:
    """The pieces of a command line, or None where there are too many."""
    pieces: list[Piece] = []
    outer: list[bool] = []
    position, in_quotes, at_word_start = 0, False, True
    while position < len(line):
        if len(pieces) >= PIECES_LIMIT:
            return None
        match = (_QUOTED if in_quotes else _PIECE).match(line, position)
        if match is None:
            break
        kind = match.lastgroup or "text"
        end = match.end()
        if kind == "comment" and not at_word_start:
            kind, end = "text", position + 1
        if kind == "quote":
            in_quotes = not in_quotes
        elif kind == "operator" and match.group() == ")" and outer:
            in_quotes = outer.pop()
        elif match.group() in _OPENING and kind != "text":
            outer.extend([in_quotes] * match.group().count("("))
            in_quotes = False
        pieces.append(Piece(kind, position, end, in_quotes and kind != "quote"))
        at_word_start = kind in {"blank", "operator"}
        position = end
    if in_quotes:
        pieces.append(Piece("open", len(line), len(line)))
    return pieces


def words_of(line: str, pieces: list[Piece]) -> list[Word]:
    """The words, and which of them name a command."""
    words: list[Word] = []
    start = -1
    is_first = True
    for piece in [*pieces, Piece("operator", len(line), len(line))]:
        opens = piece.kind == "expansion" and line[piece.start : piece.end] in _COMMANDS
        if piece.kind not in {"blank", "operator", "comment"} and not opens:
            start = piece.start if start < 0 else start
            continue
        if start >= 0:
            words.append(Word(start, piece.start, is_first))
            is_first = is_first and _ASSIGNMENT.match(line, start) is not None
            start = -1
        if opens:
            is_first = True
        elif piece.kind == "operator":
            is_first = line[piece.start : piece.end][:1] not in {"<", ">"}
    return words


def plain_text(line: str, pieces: list[Piece]) -> str:
    """What the shell makes of the pieces of one word, with expansions as they stand."""
    parts: list[str] = []
    for piece in pieces:
        text = line[piece.start : piece.end]
        if piece.kind == "single":
            text = text[1:-1]
        elif piece.kind == "escape":
            text = text[1:].replace("\n", "")
        elif piece.kind == "quote":
            text = ""
        parts.append(text)
    return "".join(parts)


_COMMANDS = frozenset(("$(", "`"))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*+=")
