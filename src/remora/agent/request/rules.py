"""Which mode holds for an attack: the probe's own, or what a rule says of it.

Imported where there is a rule; without one nobody asks. A book never changes but for
its counters: new rules are a new book, and threads of the app read one or the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.runtime import originals
from remora.protocol.glob import matches_glob
from remora.protocol.protect import FAMILIES, MODES
from remora.protocol.rules import by_narrowness, lowers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remora.protocol.rules import Rule, Sighting


class RuleBook:
    """The rules of the app's own files, and above them those of the server.

    `decided` counts by id how often a rule made the difference.
    """

    __slots__ = ("_layers", "blocking", "decided", "general")

    def __init__(self, own: Iterable[Rule], asked: Iterable[Rule] = ()) -> None:
        self._layers = tuple(filter(None, (by_narrowness(own), by_narrowness(asked))))
        self.decided: dict[str, int] = {}
        self.general: dict[str, str] = {}
        """By detector, the mode in the whole app where a rule gives one."""
        self.blocking = frozenset(
            detector
            for detector in FAMILIES
            for layer in self._layers
            for rule in layer
            if rule.mode == "block" and rule.concerns(detector)
        )
        """The detectors that some rule has block somewhere."""
        for layer in self._layers:
            for rule in reversed(layer):
                if rule.is_general:
                    known = (rule.detector,) if rule.detector else FAMILIES
                    self.general.update(dict.fromkeys(known, rule.mode))

    def turns_on(self, detector: str) -> bool:
        """Whether a rule that is for less than the whole app needs this detector."""
        return any(
            rule.turns_on(detector)
            for layer in self._layers
            for rule in layer
            if not rule.is_general
        )

    def may_wake(self, detector: str, route: str) -> bool:
        """Whether one may hold at this route for a detector that is off elsewhere."""
        return any(
            rule.turns_on(detector)
            and (not rule.route or matches_glob(route, rule.route))
            for layer in self._layers
            for rule in layer
        )

    def ask_line(self, file: str, function: str) -> bool:
        """Whether a rule tells lines of this function apart, so that one is read."""
        return any(
            rule.names(file, function)
            for layer in self._layers
            for rule in layer
            if rule.line
        )

    def decide(self, mode: str, sighting: Sighting) -> tuple[str, Rule | None, bool]:
        """The mode for an attack, the rule that says so, and if it is an exception.

        `mode` is that of the probe. An exception protects less than all else does.
        """
        decider, is_exception = None, False
        for rule in self._holding(sighting):
            if rule.mode != mode or decider is None:
                decider = rule
                is_exception = not rule.is_general and lowers(rule.mode, mode)
            mode = rule.mode
        if decider is not None:
            self.decided[decider.id] = self.decided.get(decider.id, 0) + 1
        return mode, decider, is_exception

    def mode_at(self, mode: str, sighting: Sighting) -> str:
        """The mode for calls there, of which nothing else is known."""
        for rule in self._holding(sighting):
            mode = rule.mode
        return mode

    def _holding(self, sighting: Sighting) -> Iterator[Rule]:
        """The rule of each layer that holds there; the later one decides."""
        now = originals.time_ns()
        for layer in self._layers:
            for rule in layer:
                if rule.means(sighting) and not rule.is_over(now):
                    yield rule
                    break

    def strongest(self, detector: str, mode: str) -> str:
        """The most that may happen at a probe of this detector and mode."""
        general = self.general.get(detector, mode)
        modes = {general} | {
            rule.mode
            for layer in self._layers
            for rule in layer
            if not rule.is_general
            and rule.concerns(detector)
            and (general != "off" or rule.turns_on(detector))
        }
        return max(modes, key=MODES.index)
