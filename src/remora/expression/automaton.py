"""Patterns as automata: matching looks at each character once, whatever the pattern."""

from __future__ import annotations

from remora.errors import ExpressionError

STATES_LIMIT = 2000
"""States of a pattern's automaton: what bounded repetitions multiply up to."""

_STATES_REMEMBERED = 500
_STEPS_REMEMBERED = 20_000
"""What one pattern keeps of its deterministic form; then it starts afresh."""

_WORK_LIMIT = 5000
"""States looked at for what one text teaches: some 5 ms, for a pattern made to hurt."""

CharacterSet = tuple[bool, tuple[tuple[str, str], ...]]
"""Whether the set is what is *not* in the ranges, and the ranges."""


class Automaton:
    """A nondeterministic automaton, made piece by piece from a pattern.

    A state consumes a character of its set and goes on to `after`, or it consumes
    nothing and jumps, some jumps only at the start or at the end of the text.
    """

    __slots__ = ("_after", "_jumps", "_sets")

    def __init__(self) -> None:
        self._sets: list[CharacterSet | None] = []
        self._after: list[int] = []
        self._jumps: list[list[tuple[int, str]]] = []

    def state(self) -> int:
        """A new state, which leads nowhere yet."""
        if len(self._sets) >= STATES_LIMIT:
            raise ExpressionError(
                f"the pattern needs more than {STATES_LIMIT} states: use smaller "
                "repetitions"
            )
        self._sets.append(None)
        self._after.append(-1)
        self._jumps.append([])
        return len(self._sets) - 1

    def consume(self, source: int, characters: CharacterSet, target: int) -> None:
        """Let a state consume a character of a set."""
        self._sets[source] = characters
        self._after[source] = target

    def jump(self, source: int, target: int, where: str = "") -> None:
        """Let a state lead to another, everywhere or at '^' or '$' alone."""
        self._jumps[source].append((target, where))

    def reach(self, states: set[int], where: str) -> set[int]:
        """These states and all that jumps lead to, at '^', at '$' or at neither."""
        reached = set(states)
        waiting = list(states)
        while waiting:
            for target, condition in self._jumps[waiting.pop()]:
                if target not in reached and (not condition or condition in where):
                    reached.add(target)
                    waiting.append(target)
        return reached

    def advance(self, states: frozenset[int], character: str) -> set[int]:
        """The states after a character, before jumps."""
        result: set[int] = set()
        for state in states:
            characters = self._sets[state]
            if characters is not None and _holds(characters, character):
                result.add(self._after[state])
        return result

    def can_consume(self, states: set[int] | frozenset[int]) -> bool:
        """Whether any of the states waits for a character."""
        return any(self._sets[state] is not None for state in states)


def _holds(characters: CharacterSet, character: str) -> bool:
    negated, ranges = characters
    return any(low <= character <= high for low, high in ranges) is not negated


class _State:
    """A set of states of the automaton, as one state of the deterministic form."""

    __slots__ = ("accepts", "accepts_at_end", "is_dead", "members", "steps")

    def __init__(
        self,
        members: frozenset[int],
        *,
        accepts: bool,
        accepts_at_end: bool,
        is_dead: bool,
    ) -> None:
        self.members = members
        self.accepts = accepts
        self.accepts_at_end = accepts_at_end
        self.is_dead = is_dead
        self.steps: dict[str, _State] = {}


class Matcher:
    """Says whether a pattern occurs in a text; learns its deterministic form by that.

    Threads may use one matcher together: what they learn at the same time is the same.
    """

    __slots__ = ("_automaton", "_end", "_first", "_restart", "_states", "_steps")

    def __init__(self, automaton: Automaton, start: int, end: int) -> None:
        self._automaton = automaton
        self._end = end
        self._restart = start
        self._states: dict[frozenset[int], _State] = {}
        self._steps = 0
        self._first = self._make(automaton.reach({start}, "^"), at_start=True)

    def occurs_in(self, text: str) -> bool | None:
        """Whether the pattern matches anywhere in the text; None if it is too much."""
        state = self._first
        work = 0
        for character in text:
            if state.accepts:
                return True
            if state.is_dead:
                return False
            following = state.steps.get(character)
            if following is None:
                work += 1 + len(state.members)
                if work > _WORK_LIMIT:
                    return None
                following = self._learn(state, character)
            state = following
        return state.accepts or state.accepts_at_end

    def _learn(self, state: _State, character: str) -> _State:
        automaton = self._automaton
        after = automaton.advance(state.members, character)
        after.add(self._restart)
        members = frozenset(automaton.reach(after, ""))
        following = self._states.get(members)
        if following is None:
            if len(self._states) >= _STATES_REMEMBERED:
                self._forget()
            following = self._make(members, at_start=False)
            self._states[members] = following
        if self._steps >= _STEPS_REMEMBERED:
            self._forget()
        self._steps += 1
        state.steps[character] = following
        return following

    def _forget(self) -> None:
        for state in list(self._states.values()):
            state.steps = {}
        self._first.steps = {}
        self._states = {}
        self._steps = 0

    def _make(self, members: set[int] | frozenset[int], *, at_start: bool) -> _State:
        automaton = self._automaton
        at_end = automaton.reach(set(members), "^$" if at_start else "$")
        again = automaton.reach({self._restart}, "$")
        ends = self._end in at_end
        return _State(
            frozenset(members),
            accepts=self._end in members,
            accepts_at_end=ends,
            is_dead=not ends
            and self._end not in again
            and not automaton.can_consume(members)
            and not automaton.can_consume(again),
        )
