"""What this app has accepted that was signed: numbers, and words to start with.

The numbers are the highest ones of signed probes and policies. Without a file they are
forgotten with the process, and a server could then show an earlier version that has not
expired. The words are the signed probes in force here, as they were received: they
verify themselves when they are read again (agent/recall.py).

Several processes write what each has accepted besides what the file has. A word goes
from the file when a later one of its id was accepted, when its signature ends, or when
a process that had it no longer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.probes.state_file import (
    NUMBERS_LIMIT,
    WORDS_BYTES,
    WORDS_LIMIT,
    Remembered,
    StateFile,
    Word,
    make_word,
    size_of,
)
from remora.agent.runtime import originals
from remora.errors import ConfigError
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.diagnostics import Diagnostics
    from remora.protocol import Probe

POLICY = ""
"""Stands for the policy among the ids of probes; no probe has an empty one."""

DEATHS_LIMIT = 2
"""Starts in a row that may die with the same words before these are dropped: one may
have been killed for another reason."""


class Ledger:
    """Numbers and words by the ids of probes; in memory alone where there is no file.

    What is accepted counts at once, and is written by `save`.
    """

    def __init__(self, path: str, diagnostics: Diagnostics) -> None:
        self._file = StateFile(path) if path else None
        self._diagnostics = diagnostics
        self._numbers: dict[str, int] = {}
        self._held: dict[str, Probe] = {}
        self._words: dict[str, Word] = {}
        self._gone: dict[str, int] = {}
        self._is_written = True
        self.complaint = ""
        """Why the file cannot be trusted; empty where it can."""
        self.found = Remembered({}, {})
        """What the file had when this process began to use it."""
        if self._file is not None:
            self._take_in(self._file.read)
            self.found = replace(self.found, words=_living(self.found.words))

    def highest(self, identifier: str) -> int:
        """The highest number accepted under this id; 0 for none."""
        return self._numbers.get(identifier, 0)

    def accept(self, identifier: str, number: int) -> None:
        """Keep a number that was accepted just now."""
        if number > self.highest(identifier):
            self._numbers[identifier] = number
            self._is_written = False

    def hold(self, probes: Mapping[str, Probe]) -> None:
        """These, by their ids, are all the signed words in force in this process."""
        if self._file is None or probes == self._held:
            return
        for name, word in self._words.items():
            if name not in probes:
                self._gone[name] = word.number
        self._words = {k: make_word(probe.to_json()) for k, probe in probes.items()}
        self._gone = {k: n for k, n in self._gone.items() if k not in probes}
        self._held = dict(probes)
        self._is_written = False

    def save(self) -> None:
        """Write what was accepted since the last time."""
        if not self._is_written:
            self._change(self._merge)

    def note_death(self) -> int:
        """A start has died with the words: how many in a row have by now.

        What only looks goes at once, all words with the second: a server gives again
        what it still wants.
        """

        def bury(state: Remembered) -> Remembered:
            deaths = state.deaths + 1
            if deaths >= DEATHS_LIMIT:
                return Remembered(state.numbers, {})
            kept = {k: w for k, w in state.words.items() if "protect" in w.table}
            return Remembered(state.numbers, kept, deaths)

        deaths = self.found.deaths + 1
        self._change(bury)
        return deaths

    def note_life(self) -> None:
        """A start with the words has outlived them."""
        if self.found.deaths:
            self.found = replace(self.found, deaths=0)
            self._change(lambda state: replace(state, deaths=0))

    def _change(self, change: Callable[[Remembered], Remembered]) -> None:
        file = self._file
        if file is None:
            return
        try:
            self._take_in(lambda: file.change(change))
        except OSError as error:
            self._diagnostics.count("state-unwritten")
            self._diagnostics.say_once(
                f"state = {file.path!r} cannot be written ({error.strerror}): what was "
                "signed is kept in memory only"
            )
        else:
            self._is_written = not self.complaint

    def _take_in(self, read: Callable[[], Remembered]) -> None:
        """Add the numbers of the file to ours."""
        assert self._file is not None
        try:
            self.found = read()
        except ConfigError as error:
            self.complaint = (
                f"state = {self._file.path!r} cannot be trusted ({error}): remove the "
                "file, or give another as REMORA_STATE"
            )
            self._diagnostics.say_once(self.complaint)
            return
        self.complaint = ""
        for identifier, number in self.found.numbers.items():
            if number > self.highest(identifier):
                self._numbers[identifier] = number

    def _merge(self, state: Remembered) -> Remembered:
        """The file's state with what this process knows."""
        numbers = dict(state.numbers)
        for name, number in self._numbers.items():
            numbers[name] = max(number, numbers.get(name, 0))
        words = {
            name: word
            for name, word in state.words.items()
            if word.number > self._gone.get(name, 0)
        }
        for name, word in self._words.items():
            if name not in words or word.number >= words[name].number:
                words[name] = word
        fresh = {k: w for k, w in words.items() if w.number >= numbers.get(k, 0)}
        by_age = sorted(numbers.items(), key=lambda item: item[1], reverse=True)
        kept = self._bounded(_living(fresh))
        return Remembered(dict(by_age[:NUMBERS_LIMIT]), kept, state.deaths)

    def _bounded(self, words: dict[str, Word]) -> dict[str, Word]:
        """As many as there is room for, the latest first."""
        kept: dict[str, Word] = {}
        room = WORDS_BYTES
        for word in sorted(words.values(), key=lambda each: each.number, reverse=True):
            size = size_of(word)
            if size <= room and len(kept) < WORDS_LIMIT:
                room -= size
                kept[word.id] = word
        if len(kept) < len(words):
            self._diagnostics.say_once(
                f"state has room for {len(kept)} of {len(words)} signed probes: the "
                "others are not there at a start without a server"
            )
        return kept


def _living(words: dict[str, Word]) -> dict[str, Word]:
    """Those whose signature has not ended."""
    now = originals.time_ns()
    return {name: word for name, word in words.items() if word.expires_at > now}
