"""Judges commands: a line for a shell, or a list of arguments.

In a line an input may be a part of one word, quoted or not. It breaks out with a blank
(but not among the words of `echo`), an operator, an expansion, a quote that it ends or
leaves open, or an escape that takes a character behind it. In a list each argument is a
word already: judged is what a shell gets after `-c`, an input that begins an option of
a known program, and a program that the input names.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.inputs import locate
from remora.detection.shell.options import (
    PRINTERS,
    SHELLS,
    WRAPPERS,
    base_name,
    is_harmful,
)
from remora.detection.shell.words import Piece, Word, read_pieces, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.detection.inputs import Input, Inputs, Occurrence

ARGUMENTS_LIMIT = 5000
"""Arguments of one list that are judged."""

_CAN_MATTER = re.compile(r"[^\w./:@%+,=]|\A-|/").search
_WRAPPER_WORD = re.compile(r"-|\d+[smhd]?\Z|\w+=")


def judge(argument: str, inputs: Inputs) -> Verdict:
    """Find the first input that leaves its word in a line for a shell."""
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    whole = inputs.named(argument) or inputs.named(argument.strip())
    if whole is not None and argument.strip():
        return _whole(argument, whole)
    places = locate(argument, found)
    if isinstance(places, NotMade):
        return places
    if places:
        pieces = read_pieces(argument)
        if pieces is None:
            return NotMade("the command line has too many pieces")
        line = _Line(argument, pieces)
        for place in places:
            finding = line.judge(place)
            if finding:
                return finding
    return NotMade(inputs.cut) if inputs.cut else None


def judge_arguments(arguments: Sequence[str], inputs: Inputs) -> Verdict:
    """Find the first input that decides what a list of arguments runs.

    The finding's places are places in the one argument that it speaks of.
    """
    if len(arguments) > ARGUMENTS_LIMIT:
        return NotMade(f"the command has more than {ARGUMENTS_LIMIT} arguments")
    rest = _unwrap(list(arguments))
    if not rest:
        return NotMade(inputs.cut) if inputs.cut else None
    program = base_name(rest[0])
    named = inputs.named(rest[0])
    if named is not None and (len(rest) == 1 or "/" in rest[0]):
        return _whole(rest[0], named)
    if program in SHELLS:
        for flag, script in pairwise(rest):
            if flag[:1] == "-" and flag[:2] != "--" and "c" in flag:
                return judge(script, inputs)
    verdict: Verdict = NotMade(inputs.cut) if inputs.cut else None
    for argument in rest[1:]:
        if argument == "--":
            break
        if is_harmful(program, argument):
            chosen = _option(program, argument, inputs)
            if chosen is not None:
                return chosen
    return verdict


def _unwrap(arguments: list[str]) -> list[str]:
    """The command that `env`, `nice`, `timeout` and their like start."""
    start = 0
    while start < len(arguments) and base_name(arguments[start]) in WRAPPERS:
        start += 1
        while start < len(arguments) and _WRAPPER_WORD.match(arguments[start]):
            start += 1
    return arguments[start:]


def _option(program: str, argument: str, inputs: Inputs) -> Finding | NotMade | None:
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    for each in found:
        if len(each.text) > 1 and argument.startswith(each.text):
            return Finding(
                "shell", each, 0, len(each.text), 0,
                f"the input is an option of {program}",
                f"{program} INPUT",
                f"{program} OPTION",
            )  # fmt: skip
    return None


def _whole(argument: str, each: Input) -> Finding:
    start = argument.find(each.text)
    return Finding(
        "shell", each, start, start + len(each.text), start,
        "the input is the whole command",
        "INPUT",
        "COMMAND",
    )  # fmt: skip


class _Line:
    """A command line that was read, for the places of inputs in it."""

    __slots__ = ("_ends", "_line", "_pieces", "_starts", "_word_starts", "_words")

    def __init__(self, line: str, pieces: list[Piece]) -> None:
        self._line = line
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._ends = [piece.end for piece in pieces]
        self._words = words_of(line, pieces)
        self._word_starts = [word.start for word in self._words]

    def judge(self, place: Occurrence) -> Finding | None:
        if len(place.input.text) < 2 and place.input.text not in ";|&\n`":
            return None
        first = bisect_right(self._ends, place.start)
        last = bisect_left(self._starts, place.end)
        touched = self._pieces[first:last]
        if self._is_by_chance(place):
            return None
        quotes = 0
        for piece in touched:
            sentence = self._breaks(piece, place)
            if sentence:
                return self._found(place, piece, sentence, touched)
            quotes += piece.kind == "quote"
        if quotes % 2 or (quotes and touched[0].in_quotes):
            at = next(piece for piece in touched if piece.kind == "quote")
            return self._found(place, at, "ends or opens a quote", touched)
        return self._judge_option(place, touched)

    def _breaks(self, piece: Piece, place: Occurrence) -> str:
        """What a piece does that the input holds or partly holds."""
        kind = piece.kind
        if kind == "operator":
            return "holds an operator of the shell"
        if kind == "expansion":
            return "holds an expansion of the shell"
        if kind == "open":
            return "leaves a quote open" if piece.start >= place.start else ""
        if kind == "single":
            begins, ends = piece.start >= place.start, piece.end <= place.end
            return "" if begins == ends else "ends or opens a quote"
        if kind == "escape":
            return "escapes what follows it" if piece.end > place.end else ""
        if kind == "comment":
            return "begins a comment" if piece.start >= place.start else ""
        if kind == "blank" and self._splits(piece, place):
            return "is several words where one was meant"
        return ""

    def _splits(self, blank: Piece, place: Occurrence) -> bool:
        """Whether the input stands on both sides of a blank, and that matters."""
        text = self._line
        if not text[place.start : max(blank.start, place.start)].strip():
            return False
        if not text[blank.end : max(place.end, blank.end)].strip():
            return False
        return base_name(self._program_at(place.start)) not in PRINTERS

    def _program_at(self, position: int) -> str:
        index = bisect_right(self._word_starts, position) - 1
        while index >= 0:
            word = self._words[index]
            text = self._line[word.start : word.end]
            if word.is_first and "=" not in text:
                return text
            index -= 1
        return ""

    def _is_by_chance(self, place: Occurrence) -> bool:
        """One plain word that the line has by itself as its program."""
        word = self._word_at(place.start)
        return word is not None and word.is_first and word.end >= place.end

    def _word_at(self, position: int) -> Word | None:
        index = bisect_right(self._word_starts, position) - 1
        if index < 0 or self._words[index].end <= position:
            return None
        return self._words[index]

    def _judge_option(self, place: Occurrence, touched: list[Piece]) -> Finding | None:
        word = self._word_at(place.start)
        if word is None or not touched:
            return None
        text = self._line[word.start : word.end].lstrip("'\"")
        if word.end - len(text) < place.start:
            return None
        program = base_name(self._program_at(place.start))
        if " -- " in self._line[: place.start] or not is_harmful(program, text):
            return None
        return self._found(place, touched[0], f"is an option of {program}", touched)

    def _found(
        self, place: Occurrence, piece: Piece, sentence: str, touched: list[Piece]
    ) -> Finding:
        program = self._program_at(place.start)[:40]
        return Finding(
            "shell",
            place.input,
            place.start,
            place.end,
            min(max(piece.start, place.start), place.end),
            f"the input {sentence}",
            f"{program} INPUT",
            " ".join([program, *(each.kind.upper() for each in touched[:20])]),
        )
