"""span: a call becomes a part of a trace, below whatever span is current."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from remora.agent.actions.observe import record_context
from remora.agent.capture import capture
from remora.agent.hooks import Arguments, describe
from remora.agent.request import (
    OpenSpan,
    begin_span,
    current_user,
    enter_span,
    known_request,
    traceparent,
)
from remora.agent.runtime import guard, originals
from remora.agent.targets import Nature
from remora.expression import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.actions.firing import Firings
    from remora.agent.capture import SecretNames
    from remora.agent.hooks import Call
    from remora.agent.interception import AppValue
    from remora.agent.request import RequestContext, User
    from remora.agent.targets import Site
    from remora.expression import Code
    from remora.protocol import Probe, Span

NAME_LIMIT = 200
"""Characters of a name: it stands beside a bar."""

_OVERHEAD = 400
_TRACEPARENT = "traceparent"
_CURRENT = frozenset({Nature.PLAIN, Nature.COROUTINE})
"""What is below its span while it runs: calls that do not stop in between."""


class SpanScope:
    """Begins the spans of one probe at one site.

    While a generator is suspended its caller runs on, and nothing says in whose name.
    So what it calls is not below its span, and what its caller calls is not either.
    """

    __slots__ = (
        "_collect",
        "_deliver",
        "_firings",
        "_is_current",
        "_is_secret",
        "_key",
        "_probe",
        "_propagated_at",
        "_span",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - what a firing needs, known beforehand
        self,
        probe: Probe,
        site: Site,
        code: Code,
        parameters: tuple[str, ...],
        firings: Firings,
        deliver: Callable[[tuple[object, ...], int], None],
        is_secret: SecretNames,
    ) -> None:
        assert probe.span is not None
        self._probe = probe.id
        self._span = probe.span
        self._firings = firings
        self._deliver = deliver
        self._is_secret = is_secret
        self._key = _key(probe.id)
        self._propagated_at = -1
        if probe.span.propagate:
            self._propagated_at = parameters.index(probe.span.propagate)
        self._collect = _compile(probe.span, code, is_secret)
        self._is_current = site.nature in _CURRENT

    def at(self, site: Site) -> SpanScope:
        """The same for another site whose calls give the same values."""
        other = SpanScope.__new__(SpanScope)
        for name in SpanScope.__slots__:
            setattr(other, name, getattr(self, name))
        other._is_current = site.nature in _CURRENT  # noqa: SLF001 - of the same class
        return other

    def fire(self, *values: AppValue) -> Arguments | None:
        """Begin the span; the outcome hands the trace on, where that is asked for."""
        ident = originals.get_ident()
        if ident in guard.busy:
            return None
        firings = self._firings
        try:
            # inside: a Ctrl-C that arrives at this very call must not leave the mark
            guard.busy.add(ident)
            started = originals.thread_time_ns()
            firings.count += 1
            if not firings.limiter.use():
                return None
            outcome = self._hand_on(self._begin(values), values)
            firings.succeeded()
            firings.spend(originals.thread_time_ns() - started)
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            firings.fault(error)
            return None
        else:
            return outcome
        finally:
            guard.busy.discard(ident)

    def _begin(self, values: tuple[AppValue, ...]) -> OpenSpan:
        call: Call = values[0]  # the first parameter is the call itself
        name, *shown = self._collect(*values)
        attributes: dict[str, object] = {}
        size = 0
        for (key, expression), value in zip(self._span.attributes, shown, strict=True):
            names = {key, *expression.shown}
            attributes[key], cost = capture(
                value, names=names, is_secret=self._is_secret
            )
            size += cost
        opened, parent = begin_span()
        begun = _Begun(self, opened, parent)
        begun.name = call.site if name is None else name[:NAME_LIMIT]
        begun.attributes = attributes
        begun.size = _OVERHEAD + len(begun.name) + size
        call.state[self._key] = begun
        if self._is_current:
            enter_span(opened)
        return opened

    def _hand_on(
        self, opened: OpenSpan, values: tuple[AppValue, ...]
    ) -> Arguments | None:
        """The headers with the trace in them, as an argument of the call."""
        if self._propagated_at < 0:
            return None
        headers = values[self._propagated_at]
        if type(headers) is Missing or headers is None:
            headers = {}
        if type(headers) is not dict:
            self._firings.refuse(f"span: {self._span.propagate} is no plain dictionary")
            return None
        changed: dict[AppValue, AppValue] = headers.copy()
        if any(type(key) is str and key.lower() == _TRACEPARENT for key in changed):
            return None
        changed[_TRACEPARENT] = traceparent(opened.place)
        return Arguments(**{self._span.propagate: changed})

    def finish(self, begun: _Begun, site: str, error: str) -> None:
        """Close a span that `fire` began, and report it."""
        try:
            duration_ms = (originals.perf_counter_ns() - begun.started) / 1e6
            opened = begun.opened
            if self._is_current:
                enter_span(opened.outer)
            self._firings.last_firing = begun.time
            record = (
                make_span,
                begun.time,
                self._probe,
                site,
                originals.get_native_id(),
                known_request(),
                current_user(),
                (opened.place.trace, opened.place.span, begun.parent),
                begun.name,
                duration_ms,
                error,
                begun.attributes,
            )
            self._deliver(record, begun.size + len(error))
        except BaseException as fault:  # noqa: BLE001 - the boundary: nothing of ours reaches the app
            self._firings.fault(fault)


class _Begun:
    """A span that has begun, as its call keeps it."""

    __slots__ = (
        "attributes",
        "name",
        "opened",
        "parent",
        "scope",
        "size",
        "started",
        "time",
    )

    def __init__(self, scope: SpanScope, opened: OpenSpan, parent: str) -> None:
        self.scope = scope
        self.opened = opened
        self.parent = parent
        self.name = ""
        self.attributes: dict[str, object] = {}
        self.size = 0
        self.time = originals.time_ns()
        self.started = originals.perf_counter_ns()


class SpanEnds:
    """Ends the spans of one probe, at all its sites."""

    __slots__ = ("_key",)

    def __init__(self, probe: str) -> None:
        self._key = _key(probe)

    def end(self, call: Call) -> None:
        """The call returned, or was closed; after `fail` nothing is left to end."""
        begun = call.state.pop(self._key, None)
        if begun is not None:
            begun.scope.finish(begun, call.site, "")

    def fail(self, call: Call, error: AppValue) -> None:
        """The call raised."""
        begun = call.state.pop(self._key, None)
        if begun is not None:
            begun.scope.finish(begun, call.site, describe(error))


def _key(probe: str) -> str:
    """Where a call keeps its span: probes of one function share the call."""
    return f"remora span {probe}"


def make_span(  # noqa: PLR0913, PLR0917 - the tuple of a firing, spread out
    time: int,
    probe: str,
    site: str,
    thread: int,
    request: RequestContext | None,
    user: User | None,
    place: tuple[str, str, str],
    name: str,
    duration_ms: float,
    error: str,
    attributes: dict[str, object],
) -> dict[str, object]:
    """The record of docs/protocol.md, kind span; runs in the worker."""
    trace, span, parent = place
    record: dict[str, object] = {
        "kind": "span",
        "time": time,
        "probe": probe,
        "site": site,
        "thread": thread,
        **record_context(request, user),
        "trace": trace,
        "span": span,
        "name": name,
        "duration_ms": round(duration_ms, 3),
    }
    if parent:
        record["parent"] = parent
    if error:
        record["error"] = error
    if attributes:
        record["values"] = attributes
    return record


def _compile(
    span: Span, code: Code, is_secret: SecretNames
) -> Callable[..., tuple[AppValue, ...]]:
    """A function of the gate's parameters: the name, then the attributes."""
    name: ast.expr = ast.Constant(value=None)
    if span.name is not None:
        name = code.text(span.name, is_secret)
    elements = [name, *(code.value(each) for _, each in span.attributes)]
    values = ast.Tuple(elts=elements, ctx=ast.Load())
    return code.function("begin", [ast.Return(value=values)])
