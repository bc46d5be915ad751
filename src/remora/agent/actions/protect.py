"""protect: judges one argument of a call against the request, and blocks an attack.

Rules of this file
- No input may disarm it: no limit, no breaker, no state that a failure leaves behind. A
  check that fails or outgrows its bounds counts for its own call alone. In mode block
  that call is refused if input of the request may be in the argument.
- It may run at the end of the stack that the interpreter allows, so what decides after
  a failure needs few frames, and where there are not even these, refuses.
- It fires on whatever the app calls inside a request. Outside of one nothing is judged.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from remora.agent.actions.attack import describe_finding, make_attack
from remora.agent.actions.sink_values import path_of, text_of, texts_of
from remora.agent.actions.verdict import WORDS_IN, ask
from remora.agent.capture import calling_frame, capture_stack
from remora.agent.capture.source_lines import is_own_file, source_line
from remora.agent.hooks import Raise
from remora.agent.request import (
    current_request,
    current_user,
    inputs_of,
    protection,
    read_opening,
)
from remora.agent.runtime import guard, originals
from remora.detection import Finding, NotMade
from remora.errors import Blocked
from remora.protocol.rules import Sighting

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from remora.agent.actions.firing import Firings
    from remora.agent.capture import SecretNames
    from remora.agent.hooks import Outcome
    from remora.agent.interception import AppValue
    from remora.agent.request import RequestContext
    from remora.agent.targets import Site
    from remora.detection import Inputs
    from remora.protocol import Probe

    Stack = list[tuple[Any, Any, Any]]
    """Frames as file, line and function, the innermost first."""

TOLD_LIMIT = 50
"""Attacks of one request that are recorded: an attacker gets no more of the queue."""

KNOWN_LIMIT = 1000
"""Arguments of one site that are remembered as judged and found well, by their hashes:
the statements of a large app. An attacker who fills it up has them learnt anew."""

_WITHOUT_INPUT = frozenset(("member", "entry", "host", "redirect"))
"""Detectors for which an argument matters that holds no input as it came: the name of
an archive's member is one by itself, a host may be that of a URL."""

_REFUSING_NOTHING = frozenset(("entry", "resolved"))
"""Detectors that only take note: their calls are no sinks."""

_GOING_ON = _REFUSING_NOTHING | {"path", "member"}
"""Detectors whose calls a condemned request goes on to make."""

_REPEATING = frozenset(("sql", "shell"))

_RECORD_OVERHEAD = 2000
"""Bytes of a record besides its texts: the stack, mostly."""

_SEARCH_WORK = 64 * 2**20
"""Characters gone over to tell whether input occurs where a detector gave up."""

_CONSTANT_FRAMES = 10
"""Frames from a sink to the code that wrote its argument, with a driver's between."""

_NUMBER = re.compile(r"\d+")
_TIDYING = re.compile(
    r"\s*(?:ROLLBACK|COMMIT|END|RELEASE|SAVEPOINT|BEGIN|START|SET|RESET|CLOSE|DISCARD"
    r"|UNLISTEN|DEALLOCATE|SHOW|PRAGMA|SELECT\s+(?:1\b|pg_advisory_unlock_all\())",
    re.IGNORECASE,
)
"""By these a condemned request is rolled back and its connection returned."""


class Judge:
    """The protect of one probe at one site."""

    __slots__ = (
        "_blocks",
        "_family",
        "_firings",
        "_is_secret",
        "_is_sink",
        "_known",
        "_mode",
        "_needs_input",
        "_probe",
        "_site",
        "_words_in",
        "_written",
    )

    def __init__(
        self, probe: Probe, site: Site, firings: Firings, is_secret: SecretNames
    ) -> None:
        assert probe.protect is not None
        self._probe = probe
        self._mode = probe.protect.mode
        self._blocks = probe.protect.acts
        self._words_in = WORDS_IN.get(probe.protect.detector)
        self._needs_input = probe.protect.detector not in _WITHOUT_INPUT
        self._is_sink = probe.protect.detector not in _REFUSING_NOTHING
        self._family = probe.protect.family
        self._site = site.target
        self._firings = firings
        self._is_secret = is_secret
        self._known: set[int] = set()
        self._written: dict[int, CodeType] = {}

    def fire(self, value: AppValue, result: AppValue = None) -> Outcome | None:
        """Judge the argument of one call; the outcome refuses it."""
        request = current_request()
        if request is None:
            if self._is_sink:
                protection.outside += 1
            return None
        code = self._written.get(id(value))
        if code is not None and not request.condemned and protection.stored is None:
            try:
                is_written = _frame(2).f_code is code
            except ValueError:
                is_written = False  # a thread that runs nothing else
            if is_written:
                self._firings.count += 1
                return None
        ident = originals.get_ident()
        if ident in _busy or (self._mode == "off" and self._is_asleep(request)):
            return None
        try:
            # inside: a Ctrl-C that arrives at this very call must not leave the mark
            _busy.add(ident)
            inputs = inputs_of(request)
            # By far most calls end here: no input of the request is in the argument.
            keeps = protection.stored is not None
            is_quick = self._needs_input and not request.names
            if is_quick and not request.condemned and not keeps:
                text = value if type(value) is str else path_of(value)
                if text is not None and inputs.are_absent_from(text, self._words_in):
                    self._firings.count += 1
                    if hash(text) not in self._known:
                        self._remember(text)
                        self._learn(value)
                    return None
            return self._decide(request, value, result, inputs)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            return self._decide_after(error, request, value)
        finally:
            _busy.discard(ident)

    def fault(self, error: BaseException) -> None:
        """What escaped all the same: there was no room even to decide."""
        if type(error) is not RecursionError:
            self._firings.fault(error)
        request = current_request()
        blocks, rules = self._blocks, protection.rules
        if rules is not None:
            try:
                blocks = request is not None and self._blocks_in(request)
            except BaseException:  # noqa: BLE001 - no room to look: what may block does
                blocks = blocks or self._family in rules.blocking
        if blocks and request is not None:
            # no method: this may be the last frame
            request.condemned = request.condemned or "a check failed"
            raise _blocked(request)

    def _decide(
        self,
        request: RequestContext,
        value: AppValue,
        result: AppValue,
        inputs: Inputs,
    ) -> Outcome | None:
        protect = self._probe.protect
        assert protect is not None
        self._firings.count += 1
        verdict, text, whole = ask(protect, value, result, inputs)
        outcome: Outcome | None = None
        if verdict is None:
            self._remember(whole)
        elif isinstance(verdict, Finding):
            if not self._is_chance(verdict, value, whole):
                said = describe_finding(verdict, text, inputs, self._is_secret)
                place = (verdict.input.source, verdict.input.parameter)
                outcome = self._attack(request, said, place)
        elif self._must_refuse(verdict, value, whole, inputs):
            said = self._describe_not_made(verdict.reason)
            outcome = self._attack(request, said, (verdict.reason, ""))
        # A thread that the request has started may outlive it by years.
        is_condemned = outcome is None and request.condemned and not request.ended
        if (
            is_condemned
            and _is_refused(protect.detector, text)
            and self._blocks_in(request)
        ):
            return Raise(_blocked(request))
        stored = protection.stored  # once: a rule may turn it off at any moment
        if outcome is None and stored is not None and protect.detector == "sql":
            stored.store(request, text, inputs)
        return outcome

    def _is_asleep(self, request: RequestContext) -> bool:
        """Whether no rule may mean this call of a probe that is off but for rules."""
        rules = protection.rules
        return rules is None or not rules.may_wake(self._family, _route(request))

    def _blocks_in(self, request: RequestContext) -> bool:
        """Whether attacks of this request are blocked here, as far as is known."""
        rules = protection.rules
        if rules is None:
            return self._blocks
        sighting = Sighting(self._family, _route(request), site=self._site)
        return rules.mode_at(self._mode, sighting) == "block"

    def _remember(self, text: str) -> None:
        """A text that the app makes of other inputs as well, or of none."""
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        self._known.add(hash(text))

    def _learn(self, value: AppValue) -> None:
        """Remember a constant by its identity, with the code it stands in: who calls.

        What the caller's code holds by itself is not made of what a request sends, so
        the same call is not judged again, and its request is not read for it. A single
        character is one object wherever it comes from.
        """
        if (
            type(value) is not str
            or len(value) < 2
            or len(self._written) >= KNOWN_LIMIT
        ):
            return
        try:
            code = _frame(3).f_code
        except ValueError:
            return
        if any(constant is value for constant in code.co_consts):
            self._written[id(value)] = code

    def _is_chance(self, finding: Finding, value: AppValue, text: str) -> bool:
        """Whether the app would have said the very same without the input.

        Statements repeat and hold words that people search for, and so do paths with
        `..` in them. Else a path or a host may repeat and still be one that nobody may
        choose.
        """
        is_all = finding.end - finding.start >= len(text.strip())
        may_repeat = finding.detector in _REPEATING or ".." in finding.input.text
        if may_repeat and not is_all and hash(text) in self._known:
            return True
        return _is_constant(value)

    def _must_refuse(
        self, verdict: NotMade, value: AppValue, text: str, inputs: Inputs
    ) -> bool:
        """Count a check that was not made; whether its call may be an attack."""
        self._firings.miss(_NUMBER.sub("N", verdict.reason))
        if not verdict.occurs or hash(text) in self._known:
            return False
        if inputs.cut:
            # There is input that nobody has looked for: only what the app has written
            # itself is known to be free of it.
            return not _is_constant(value)
        return holds_input(text, inputs)

    def _decide_after(
        self, error: BaseException, request: RequestContext, value: AppValue
    ) -> Outcome | None:
        """A check failed: with as few frames as can be."""
        try:
            self._firings.fault(error)
            self._firings.miss("the check failed")
            text = text_of(value) or " ".join(texts_of(value) or ())
            is_held = holds_input(text, inputs_of(request))
        except BaseException as another:
            if another is error:
                raise  # it is the app's own, and ends this call before it is made
            is_held = True
        if not is_held:
            return None
        try:
            said = self._describe_not_made("the check failed")
            return self._attack(request, said, ("failed", ""))
        except BaseException as another:  # noqa: BLE001 - the record is lost, the block is not
            self._firings.fault(another)
        return self._refuse(request) if self._blocks_in(request) else None

    def _attack(
        self, request: RequestContext, said: dict[str, Any], place: tuple[str, str]
    ) -> Outcome | None:
        """Report an attack once, and refuse its call where that is the mode."""
        frame = calling_frame(_frame(2))
        stack = _stack_of(frame)
        mode = self._mode_of(request, said, stack)
        if mode != "off":
            self._tell(request, said, place, stack, mode)
        return self._refuse(request) if mode == "block" else None

    def _mode_of(
        self, request: RequestContext, said: dict[str, Any], stack: Stack
    ) -> str:
        """The mode for an attack; the rule that gives it is named in `said`."""
        rules = protection.rules
        if rules is None:
            return self._mode
        file, number, function = _own_frame(stack) or ("", 0, "")
        sighting = Sighting(
            self._family,
            _route(request),
            f"{said['source']}:{said['parameter']}" if "source" in said else "",
            file,
            function,
            source_line(file, number) if rules.ask_line(file, function) else "",
            number,
            self._site,
        )
        mode, rule, is_exception = rules.decide(self._mode, sighting)
        if rule is not None:
            said["rule"], said["excepted"] = rule.id, is_exception
        return mode

    def _refuse(self, request: RequestContext) -> Raise:
        assert self._probe.protect is not None
        request.condemn(f"{self._probe.protect.detector} at {self._site}")
        return Raise(_blocked(request))

    def _tell(
        self,
        request: RequestContext,
        said: dict[str, Any],
        place: tuple[str, str],
        stack: Stack,
        mode: str,
    ) -> None:
        """One record for each request, input and place in the app's own code."""
        key = (said["detector"], *place, *(_own_frame(stack) or stack[:1]))
        if request.told is None:
            request.told = set()
        if key in request.told:
            return
        if len(request.told) >= TOLD_LIMIT:
            self._firings.drop()
            return
        request.told.add(key)
        self._firings.last_firing = now = originals.time_ns()
        read_opening(request)  # here, and not by the worker
        record = (
            make_attack,
            now,
            self._probe.id,
            self._site,
            mode,
            originals.get_native_id(),
            request,
            current_user(),
            said,
            stack,
            self._is_secret,
        )
        size = _RECORD_OVERHEAD + sum(len(said[key][0]) for key in _TEXTS & said.keys())
        self._firings.deliver_important(record, size)

    def _describe_not_made(self, reason: str) -> dict[str, Any]:
        assert self._probe.protect is not None
        return {
            "detector": self._probe.protect.family,
            "sentence": "the check was not made, and the request's input may be in it",
            "not_made": reason,
        }


_TEXTS = frozenset(("value", "statement"))
_busy = guard.busy
_frame = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the stack


def _route(request: RequestContext) -> str:
    """What a rule's route is compared with: no path can look like another route."""
    route = request.route or request.path
    return route if type(route) is str else ""


def _stack_of(frame: FrameType | None) -> Stack:
    frames, _ = capture_stack(frame)
    return [(each["file"], each["line"], each["function"]) for each in frames]


def _own_frame(stack: Stack) -> tuple[Any, Any, Any] | None:
    """The innermost frame of the app's own code."""
    return next((each for each in stack if is_own_file(each[0])), None)


def holds_input(text: str, inputs: Inputs) -> bool:
    """Whether input of the request stands in a text, or nobody can tell."""
    if len(inputs) * len(text) > _SEARCH_WORK or inputs.cut:
        return True
    return any(len(each.text) > 1 and each.text in text for each in inputs)


def _is_refused(detector: str, text: str) -> bool:
    """Whether a condemned request gets no call like this one, whatever it says.

    Tracebacks, logs and error pages read files, and a rollback is a statement: what
    cleans up after a block goes on.
    """
    if detector in _GOING_ON:
        return False
    return detector != "sql" or _TIDYING.match(text) is None


def _is_constant(value: AppValue) -> bool:
    """Whether the very object stands in the code of whoever is on the stack."""
    frame = _frame(1)
    for _ in range(_CONSTANT_FRAMES):
        for constant in frame.f_code.co_consts:
            if constant is value:
                return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _blocked(request: RequestContext) -> Blocked:
    return Blocked(
        f"remora has blocked this call of request {request.id}: it would have carried "
        "out an attack"
    )
