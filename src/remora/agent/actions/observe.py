"""log and snapshot: what a firing reports, taken at once, put together by the worker.

The app's thread evaluates, captures and appends one tuple. Turning the tuple into a
record, looking for secrets by shape and encoding happen in the worker.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from remora.agent.actions.firing import CALL_PARAMETER
from remora.agent.capture import (
    SecretNames,
    app_frame,
    calling_frame,
    capture,
    capture_fields,
    capture_locals,
    capture_stack,
)
from remora.agent.request import RequestContext, User, current_user, known_request
from remora.agent.runtime import guard, originals
from remora.agent.targets import SiteKind
from remora.expression import Code
from remora.protocol import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from remora.agent.actions.firing import Firings
    from remora.agent.hooks import Call
    from remora.agent.interception import AppValue
    from remora.agent.targets import Site
    from remora.protocol import Logger, Probe

MESSAGE_LIMIT = 4000
"""Characters of one message: a screenful, and far below the size of a batch."""

_RECORD_OVERHEAD = 400
"""Bytes that a record costs besides what it captured, for the queue's bound."""

_USER_SECRETS = SecretNames()


class Report:
    """Evaluates the log and snapshot of one probe at one site and reports them.

    `parameters` name the values that `fire` is called with: roots of expressions, and
    under `CALL_PARAMETER` the Call where all arguments are wanted.
    """

    __slots__ = (
        "_call_at",
        "_collect",
        "_deliver",
        "_error_at",
        "_firings",
        "_positional",
        "_probe",
        "_site",
        "_timed_at",
        "is_secret",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what a firing needs, known beforehand
        self,
        probe: Probe,
        site: Site,
        code: Code,
        parameters: tuple[str, ...],
        firings: Firings,
        is_secret: SecretNames,
        deliver: Callable[[tuple[object, ...], int], None],
    ) -> None:
        self._probe = probe
        self._site = site.target
        self._positional = _positional(probe, site)
        self._firings = firings
        self.is_secret = is_secret
        self._timed_at = _position(parameters, "duration_ms")
        self._error_at = _position(parameters, "error")
        self._call_at = _position(parameters, CALL_PARAMETER)
        self._collect = _compile(probe, code, is_secret)
        self._deliver = deliver

    def at(self, site: Site) -> Report:
        """The same for another site whose calls give the same values."""
        other = Report.__new__(Report)
        for name in Report.__slots__:
            setattr(other, name, getattr(self, name))
        other._site = site.target  # noqa: SLF001 - of the same class
        other._positional = _positional(self._probe, site)  # noqa: SLF001 - as above
        return other

    def fire(self, *values: AppValue) -> None:
        """Report one firing."""
        ident = originals.get_ident()
        if ident in guard.busy:
            return
        firings = self._firings
        try:
            # inside: a Ctrl-C that arrives at this very call must not leave the mark
            guard.busy.add(ident)
            started = originals.thread_time_ns()
            firings.count += 1
            if firings.limiter.use():
                self.put(values)
                firings.succeeded()
                firings.spend(originals.thread_time_ns() - started)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            firings.fault(error)
        finally:
            guard.busy.discard(ident)

    def put(
        self, values: tuple[AppValue, ...], override: dict[str, object] | None = None
    ) -> None:
        """Append the record of one firing, with what an override made of the call."""
        now = originals.time_ns()
        message, *shown = self._collect(*values)
        size = _RECORD_OVERHEAD
        if message is not None:
            message = message[:MESSAGE_LIMIT]
            size += len(message)
        captured: dict[str, object] | None = None
        stack: list[dict[str, object]] | None = None
        if self._probe.has_snapshot:
            captured = {}
            size += self._take(captured, shown)
            stack, cost = self._take_special(captured, values)
            size += cost
        firings = self._firings
        firings.last_firing = now
        record = (
            make_record,
            now,
            self._probe.id,
            self._site,
            self._probe.phase.value,
            originals.get_native_id(),
            known_request(),
            current_user(),
            values[self._timed_at] if self._timed_at >= 0 else None,
            message,
            captured,
            self._positional,
            stack,
            override,
            self._probe.logger,
        )
        self._deliver(record, size)

    def _take(self, captured: dict[str, object], shown: list[AppValue]) -> int:
        """Capture the values of the snapshot's expressions; returns their size."""
        total = 0
        is_secret = self.is_secret
        for expression, value in zip(self._probe.snapshot, shown, strict=True):
            captured[expression.text], size = capture(
                value, names=expression.shown, is_secret=is_secret
            )
            total += size
        return total

    def _take_special(
        self, captured: dict[str, object], values: tuple[AppValue, ...]
    ) -> tuple[list[dict[str, object]] | None, int]:
        """Arguments, locals and stack, where the snapshot asks for them."""
        special, size = self._probe.snapshot_special, 0
        frame: FrameType | None = None
        if self._error_at >= 0:
            frame = _frame_of(values[self._error_at])
        elif self._probe.phase is Phase.LINE:
            frame = app_frame(sys._getframe(3))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the stack
        if "arguments" in special and self._probe.phase is Phase.LINE:
            if frame is not None:
                captured["arguments"], cost = capture_locals(
                    frame, is_secret=self.is_secret, arguments_only=True
                )
                size += cost
        elif "arguments" in special:
            call: Call = values[self._call_at]
            captured["arguments"], size = capture_fields(
                call.arguments, is_secret=self.is_secret
            )
        if "locals" in special and frame is not None:
            captured["locals"], cost = capture_locals(frame, is_secret=self.is_secret)
            size += cost
        if "stack" not in special:
            return None, size
        if frame is None:
            frame = calling_frame(sys._getframe(3))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the one way to the stack
        stack, cost = capture_stack(
            frame, chosen=self._probe.frames, is_secret=self.is_secret
        )
        return stack, size + cost


def make_record(  # noqa: PLR0913, PLR0917 - the tuple of a firing, spread out
    time: int,
    probe: str,
    site: str,
    phase: str,
    thread: int,
    request: RequestContext | None,
    user: User | None,
    duration_ms: float | None,
    message: str | None,
    values: dict[str, object] | None,
    positional: tuple[str, ...],
    stack: list[dict[str, object]] | None,
    override: dict[str, object] | None,
    logger: Logger | None,
) -> dict[str, object]:
    """The record of docs/protocol.md; runs in the worker."""
    record: dict[str, object] = {
        "kind": _kind(message, values, override),
        "time": time,
        "probe": probe,
        "site": site,
        "phase": phase,
        "thread": thread,
        **record_context(request, user),
    }
    if duration_ms is not None:
        record["duration_ms"] = round(duration_ms, 3)
    if message is not None:
        record["message"] = message
        if logger is not None:
            record["logger"] = {"name": logger.name, "level": logger.level}
    if values is not None:
        record["values"] = values
        if positional:
            record["positional"] = list(positional)
    if stack is not None:
        record["stack"] = stack
    if override is not None:
        record["override"] = override
    return record


def record_context(
    request: RequestContext | None, user: User | None
) -> dict[str, object]:
    """What every record says of the request and the user, where they are known."""
    context: dict[str, object] = {}
    if request is not None:
        context["request"] = {
            key: value
            for key in ("id", "method", "path", "route", "client", "status")
            if (value := getattr(request, key)) is not None
        }
    if user is not None:
        context["user"] = capture_fields(user.__dict__, is_secret=_USER_SECRETS)[0]
    return context


def _kind(message: str | None, values: object, override: object) -> str:
    if values is not None:
        return "snapshot"
    return "override" if message is None and override is not None else "log"


def _position(parameters: tuple[str, ...], name: str) -> int:
    return parameters.index(name) if name in parameters else -1


def _positional(probe: Probe, site: Site) -> tuple[str, ...]:
    """The arguments as a caller counts them, where the record has them all."""
    if "arguments" not in probe.snapshot_special or site.kind is SiteKind.LINE:
        return ()
    rest = site.var_positional
    # What does not say its parameters has the object of a method among the rest.
    is_plain = site.counted or not site.hidden
    return (*site.counted, *([f"*{rest}"] if rest and is_plain else []))


def _compile(
    probe: Probe, code: Code, is_secret: SecretNames
) -> Callable[..., tuple[AppValue, ...]]:
    """One function from the parameters to the message and the snapshot's values."""
    message: ast.expr = ast.Constant(value=None)
    if probe.log is not None:
        message = code.text(probe.log, is_secret)
    elements = [message, *(code.value(expression) for expression in probe.snapshot)]
    values = ast.Tuple(elts=elements, ctx=ast.Load())
    return code.function("collect", [ast.Return(value=values)])


def _frame_of(error: AppValue) -> FrameType | None:
    """The frame in which an exception was raised, from its traceback."""
    if not isinstance(error, BaseException):
        return None
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame
