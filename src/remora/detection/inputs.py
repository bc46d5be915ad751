"""The untrusted inputs of a request, and where they occur in a sink's argument.

The question whether any input occurs at all is asked before anything is tokenised, and
it is asked in C: few inputs by plain searches, many by the aligned pieces of the
argument. A text of 2k - 1 bytes or more that occurs holds one whole piece of k bytes,
wherever it begins, so an input none of whose pieces is there is nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.detection.finding import NotMade
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Literal

INPUTS_LIMIT = 10_000
"""Inputs of one request: frameworks allow a thousand fields, each with forms."""

CHARACTERS_LIMIT = 4 * 1024 * 1024
"""Characters of all inputs together: a body larger than this is read by few apps."""

ARGUMENT_LIMIT = 4 * 1024 * 1024
"""Characters of an argument: four times the statement that the time is promised for."""

OCCURRENCES_LIMIT = 2000
"""Places at which inputs stand in one argument, each of which is judged."""

_QUICK_WORK = 256 * 1024
"""Characters gone over by searches that are made before anything else: some 30 µs."""

_PLAIN_WORK = 8 * 1024 * 1024
"""Characters gone over by plain searches before the pieces are the cheaper way."""

_SEARCH_WORK = 32 * 1024 * 1024
"""Characters gone over by the searches of one check: 10 to 20 ms, as a search mostly
does two or three in a ns."""

_LOOKS_LIMIT = 50_000
"""Places of pieces of inputs, each of which is looked at: some 10 ms."""

_MIDDLE = 7
"""Characters of an input that holds an aligned piece of four bytes anywhere."""

_LONG = 15
"""The same for pieces of eight bytes, of which an argument has half as many."""


@frozen
class Input:
    """A text that came from outside: its source, and the parameter that held it.

    `form` names what was done to the text as it came (`url`, `base64`, …), else it is
    empty.
    """

    text: str
    source: str
    parameter: str
    form: str = ""


@frozen
class Occurrence:
    """A place at which an input stands in an argument."""

    input: Input
    start: int
    end: int


class Needles:
    """Texts in lower case of which an argument holds one if it holds an input.

    `words` stand for inputs that are one word, which mostly breaks out of nothing.
    """

    __slots__ = ("count", "others", "words")

    def __init__(self, words: Iterable[str], others: Iterable[str]) -> None:
        self.words = set(words)
        self.others = set(others)
        self.count = len(self.words) + len(self.others)

    def add(self, more: Needles) -> None:
        """Take these in as well."""
        self.words |= more.words
        self.others |= more.others
        self.count += more.count


class Inputs:
    """The inputs of one request, each text once; `cut` says why some are missing."""

    __slots__ = ("_by_text", "_mattering", "_needles", "_pieces", "_read", "cut")

    def __init__(self, inputs: Iterable[Input], cut: str | None = None) -> None:
        self._by_text: dict[str, Input] = {}
        self._mattering: dict[Callable[[str], object], list[Input]] = {}
        self._needles: Needles | None = None
        self._pieces: _Pieces | None = None
        self._read: Callable[[], Iterable[Input]] | None = None
        self.cut = cut
        if inputs != ():
            self._by_text = self._each_once(inputs)

    @classmethod
    def behind(cls, needles: Needles, read: Callable[[], Iterable[Input]]) -> Inputs:
        """Inputs that are read when one of these needles is found somewhere.

        Whoever gives them says that they stand for all inputs, which are too few to be
        cut. To read may fail where the stack ends: then it is done again.
        """
        made = cls(())
        made._needles, made._read = needles, read
        return made

    def _each_once(self, inputs: Iterable[Input]) -> dict[str, Input]:
        by_text: dict[str, Input] = {}
        characters = 0
        for each in inputs:
            if len(by_text) >= INPUTS_LIMIT:
                reason = f"the request has more than {INPUTS_LIMIT} inputs"
                self.cut = self.cut or reason
                break
            characters += len(each.text)
            if characters > CHARACTERS_LIMIT:
                reason = f"the inputs have more than {CHARACTERS_LIMIT} characters"
                self.cut = self.cut or reason
                break
            by_text.setdefault(each.text, each)
        return by_text

    def _take_in(self) -> dict[str, Input]:
        read = self._read
        if read is not None:
            # In this order: another thread of the request may look at the same time.
            self._by_text = self._each_once(read())
            self._read = None
        return self._by_text

    def __len__(self) -> int:
        return len(self._take_in())

    def __iter__(self) -> Iterator[Input]:
        return iter(self._take_in().values())

    def are_all(self, can_matter: Callable[[str], object]) -> bool:
        """Whether `can_matter` dismisses none of them."""
        return len(self._mattering_to(can_matter)) == len(self._take_in())

    def named(self, text: str) -> Input | None:
        """The input whose whole text is this one."""
        return self._take_in().get(text)

    def are_absent_from(
        self, argument: str, words_in: Callable[[str], Iterable[str]] | None = None
    ) -> bool:
        """Whether no input that could matter stands in the argument.

        False too where to tell takes longer. `words_in` gives the words of an argument
        that matter if they are inputs; without it all words matter.
        """
        needles = self._needles
        if needles is None:
            by_text = self._by_text
            if self.cut or len(by_text) * len(argument) > _QUICK_WORK:
                return False
            return not any(map(argument.__contains__, by_text))
        if needles.count * len(argument) > _QUICK_WORK or len(argument.strip()) < 2:
            return False
        folded = argument.lower()
        if any(map(folded.__contains__, needles.others)):
            return False
        if not any(map(folded.__contains__, needles.words)):
            return True
        return words_in is not None and needles.words.isdisjoint(words_in(folded))

    def occurring(
        self, argument: str, can_matter: Callable[[str], object]
    ) -> list[Input] | NotMade:
        """The inputs that stand in the argument and that `can_matter` does not dismiss.

        `can_matter` is a judgement of a text alone, such as a pattern's `search`. It is
        asked once for all sinks of a request.
        """
        size = len(argument)
        if size > ARGUMENT_LIMIT:
            return NotMade(f"the argument has more than {ARGUMENT_LIMIT} characters")
        by_text = self._take_in()
        if 2 * size * size < len(by_text):
            return [
                by_text[text]
                for text in _parts_of(argument, by_text)
                if can_matter(text)
            ]
        if len(by_text) * size <= _QUICK_WORK:
            occurring = [t for t in by_text if t in argument and can_matter(t)]
            return [by_text[text] for text in occurring]
        wanted = self._mattering_to(can_matter)
        if len(wanted) * size <= _PLAIN_WORK:
            return [each for each in wanted if each.text in argument]
        return self._sift(argument, wanted)

    def _mattering_to(self, can_matter: Callable[[str], object]) -> list[Input]:
        wanted = self._mattering.get(can_matter)
        if wanted is None:
            wanted = [
                each for each in self._take_in().values() if can_matter(each.text)
            ]
            self._mattering[can_matter] = wanted
        return wanted

    def _sift(self, argument: str, wanted: list[Input]) -> list[Input] | NotMade:
        """Those that occur, by their letters or by the argument's pieces."""
        short = [each for each in wanted if len(each.text) < _MIDDLE]
        alphabet = set("".join([each.text for each in short]))
        absent = {letter for letter in alphabet if letter not in argument}
        kept = [each for each in short if absent.isdisjoint(each.text)]
        found = Located()
        if len(short) < len(wanted):
            if self._pieces is None:
                self._pieces = _Pieces(list(self._by_text.values()))
            near = self._pieces.candidates(argument)
            longer = [each for each in wanted if each.text in near]
            near = {each.text: near[each.text] for each in longer}
            is_little = len(longer) * len(argument) <= _PLAIN_WORK
            if is_little or not self._pieces.locate(argument, near, found.starts):
                kept += longer
            found += [each for each in longer if each.text in found.starts]
        if len(kept) * len(argument) > _SEARCH_WORK:
            return NotMade(
                f"{len(kept)} inputs in {len(argument)} characters are too many"
            )
        found += [each for each in kept if each.text in argument]
        return found


class Located(list["Input"]):
    """Inputs that occur, with the places of those for which they are known by now."""

    __slots__ = ("starts",)

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, list[int]] = {}


def _parts_of(argument: str, texts: Collection[str]) -> list[str]:
    """Those of many texts that stand in a short argument, from left to right."""
    ends = range(1, len(argument) + 1)
    parts = [argument[start:end] for end in ends for start in range(end)]
    return [part for part in dict.fromkeys(parts) if part in texts]


class _Pieces:
    """The pieces of the longer inputs, of which one is aligned wherever they stand."""

    __slots__ = ("_all", "_by_offset", "_inputs", "_layout", "_size")

    def __init__(self, inputs: list[Input]) -> None:
        self._inputs = [each for each in inputs if len(each.text) >= _MIDDLE]
        is_long = all(len(each.text) >= _LONG for each in self._inputs)
        self._size = 8 if is_long else 4
        self._layout: Literal["Q", "I"] = "Q" if is_long else "I"
        width, room = 2 * self._size - 1, 2 * self._size
        rows = [
            each.text[:width].encode("utf-8", "surrogatepass")[:width].ljust(room)
            for each in self._inputs
        ]
        # Read from each offset as numbers of one piece, every second one is the piece
        # of the next input; the last offset needs bytes beyond the last row.
        joined = memoryview(b"".join(rows) + bytes(room))
        length = len(rows) * room
        self._by_offset = [
            joined[offset : offset + length].cast(self._layout).tolist()[::2]
            for offset in range(self._size)
        ]
        self._all = frozenset[int]().union(*self._by_offset)

    def candidates(self, argument: str) -> Near:
        """The texts of which a piece stands in the argument, with where in the text."""
        common = self._all.intersection(self._cut(argument))
        near: Near = {}
        for offset, pieces in enumerate(self._by_offset if common else ()):
            for each, piece in zip(self._inputs, pieces, strict=True):
                if piece in common:
                    near.setdefault(each.text, []).append((offset, piece))
        return near

    def locate(self, argument: str, near: Near, starts: dict[str, list[int]]) -> bool:
        """Put every place of these texts in; False where there is too much to look at.

        An argument in another script than ASCII is left: its bytes are no characters.
        """
        if not argument.isascii():
            return False
        wanted = {piece for found in near.values() for _, piece in found}
        where: dict[int, list[int]] = {piece: [] for piece in wanted}
        room = _LOOKS_LIMIT
        for number, piece in enumerate(self._cut(argument)):
            if piece in where:
                where[piece].append(number * self._size)
                room -= 1
                if room < 0:
                    return False
        looks = sum(len(where[piece]) for found in near.values() for _, piece in found)
        if looks > _LOOKS_LIMIT:
            return False
        for text, found in near.items():
            for offset, piece in found:
                for place in where[piece]:
                    if place >= offset and argument.startswith(text, place - offset):
                        starts.setdefault(text, []).append(place - offset)
        return True

    def _cut(self, argument: str) -> memoryview[int]:
        encoded = memoryview(argument.encode("utf-8", "surrogatepass"))
        aligned = encoded[: len(encoded) // self._size * self._size]
        return aligned.cast(self._layout)


Near = dict[str, list[tuple[int, int]]]
"""Texts of which a piece stands in an argument: where it is in the text, and itself."""


def locate(argument: str, inputs: Iterable[Input]) -> list[Occurrence] | NotMade:
    """Every place of the inputs in the argument, from left to right."""
    starts = inputs.starts if isinstance(inputs, Located) else {}
    places: list[Occurrence] = []
    for each in inputs:
        text = each.text
        for start in starts.get(text) or _find_all(argument, text):
            if len(places) >= OCCURRENCES_LIMIT:
                return NotMade(f"inputs stand at more than {OCCURRENCES_LIMIT} places")
            places.append(Occurrence(each, start, start + len(text)))
    places.sort(key=_by_place)
    return places


def _find_all(argument: str, text: str) -> Iterator[int]:
    start = argument.find(text)
    while start >= 0 and text:
        yield start
        start = argument.find(text, start + 1)


def _by_place(occurrence: Occurrence) -> tuple[int, int]:
    return occurrence.start, -occurrence.end
