"""A line for a shell that was read, and whether an input leaves its word in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from remora.detection.finding import Finding
from remora.detection.shell.options import PRINTERS, base_name
from remora.detection.shell.words import Piece, Word, plain_text, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.detection.inputs import Occurrence


class Line:
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
        """Whether the input at a place leaves its word."""
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
        return None

    def commands(self, places: list[Occurrence]) -> Iterator[list[str]]:
        """The simple commands that hold one of these places, as the shell runs them."""
        command: list[Word] = []
        for word in [*self._words, None]:
            if command and (word is None or word.is_first):
                start, end = command[0].start, command[-1].end
                if any(start <= place.start < end for place in places):
                    yield self._arguments_of(command)
                command = []
            if word is not None:
                command.append(word)

    def _arguments_of(self, command: list[Word]) -> list[str]:
        arguments: list[str] = []
        for word in command:
            first = bisect_right(self._ends, word.start)
            last = bisect_left(self._starts, word.end)
            arguments.append(plain_text(self._line, self._pieces[first:last]))
        return arguments

    def _breaks(self, piece: Piece, place: Occurrence) -> str:
        """What a piece does that the input holds or partly holds."""
        kind = piece.kind
        if kind == "operator":
            if self._line[piece.start :].isspace():
                return ""  # the end of the line, behind which nothing is run
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
