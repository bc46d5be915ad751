"""From a probe and a site to steps: what is wanted is decided once, at installation.

A probe becomes one gate for each site, a function of exactly the values that its
condition and actions name. Gates in order of cost: the condition, then the limit, then
what allocates. While the condition is false, a call pays for one function call and the
comparison itself.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from remora.agent.actions import (
    CALL_PARAMETER,
    AsgiEdgeSteps,
    RequestScope,
    SanicScope,
    StandIn,
    WsgiEdgeSteps,
    cut_condemned,
    guard_handler,
    refuse_in_django,
    refuse_in_tornado,
)
from remora.agent.interception import (
    ARGS,
    CALL,
    DURATION_MS,
    ERROR,
    KWARGS,
    RESULT,
    STATE,
    PhaseName,
    Step,
)
from remora.agent.probes.provided import PROVIDED, expressions_of, providers
from remora.agent.targets import Nature
from remora.errors import ProbeError, suggest
from remora.expression import Code, Expression, Template
from remora.protocol import Phase
from remora.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remora.agent.actions import Firings, Table
    from remora.agent.capture import SecretNames
    from remora.agent.probes.gate import Gates
    from remora.agent.targets import Site
    from remora.protocol import Probe, RequestAction, Span

_EXTRAS: dict[str, tuple[str, frozenset[Phase]]] = {
    "result": (RESULT, frozenset({Phase.POST})),
    "error": (ERROR, frozenset({Phase.FAIL})),
    "duration_ms": (DURATION_MS, frozenset({Phase.POST, Phase.FAIL})),
    "args": (ARGS, frozenset({Phase.PRE, Phase.POST, Phase.FAIL})),
    "kwargs": (KWARGS, frozenset({Phase.PRE, Phase.POST, Phase.FAIL})),
}


class Compiler:
    """Makes the steps of one probe; keeps the table that all its sites count in."""

    __slots__ = ("_firings", "_gates", "_is_secret", "probe", "table")

    def __init__(
        self,
        probe: Probe,
        firings: Firings,
        is_secret: SecretNames,
        *,
        has_gates: bool,
    ) -> None:
        self.probe = probe
        self._firings = firings
        self._is_secret = is_secret
        self.table: Table | None = None
        self._gates: Gates | None = None
        if has_gates:
            # Loaded by Probes.add, before any lock was taken; few processes observe.
            from remora.agent.probes.gate import Gates, table_of

            self.table = None if probe.count is None else table_of(probe.count)
            self._gates = Gates(probe, firings, is_secret, self.table)

    @property
    def _decides(self) -> bool:
        """Whether its gate may return an outcome."""
        span = self.probe.span
        return self.probe.override is not None or bool(span and span.propagate)

    def steps(self, site: Site) -> tuple[Step, ...]:
        """The steps of this probe at `site`. Raises ProbeError with the reason."""
        probe = self.probe
        if probe.request is not None:
            return self._request_steps(site)
        if probe.span is not None:
            return self._span_steps(probe.span, site)
        if probe.protect is not None:
            return self._protect_steps(site)
        names = self._names(expressions_of(probe), site)
        is_line = probe.phase is Phase.LINE
        with_call = "arguments" in probe.snapshot_special and not is_line
        parameters = tuple(names) + ((CALL_PARAMETER,) if with_call else ())
        wants = tuple(names.values()) + ((CALL,) if with_call else ())
        wants_frame = {"stack", "locals"} & set(probe.snapshot_special)
        if wants_frame and probe.phase is Phase.FAIL and "error" not in parameters:
            parameters, wants = ("error", *parameters), (ERROR, *wants)
        gate = self._gate(site, parameters)
        return (self._step(probe.phase.value, gate, wants),)

    def _gate(self, site: Site, parameters: tuple[str, ...]) -> Callable[..., object]:
        assert self._gates is not None
        return self._gates.at(site, parameters)

    def _names(
        self, expressions: Iterable[Expression | Template], site: Site
    ) -> dict[str, str]:
        """Root names that the call gives, each with what the trampoline must pass."""
        own = self._own_names(site)
        names: dict[str, str] = {}
        for expression in expressions:
            for name in sorted(expression.names):
                if name in own:
                    names[name] = name
                    continue
                token = self._extra(name, site, own)
                if token:
                    names[name] = token
        return names

    def _own_names(self, site: Site) -> set[str]:
        """Names that the place itself gives: parameters, at a line all variables."""
        if self.probe.phase is Phase.LINE and site.code is not None:
            code = site.code
            return {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        return {*site.parameters, site.var_positional, site.var_keyword} - {""}

    def _extra(self, name: str, site: Site, own: set[str]) -> str:
        plain = name.removeprefix("remora.")
        if plain in PROVIDED:
            return ""
        token, phases = _EXTRAS.get(plain, ("", frozenset[Phase]()))
        phase = self.probe.phase
        if phase in phases:
            return token
        if token:
            where = " or ".join(sorted(p.value for p in phases))
            raise ProbeError(
                f"{name!r} exists in phase {where} only, and this probe is for "
                f"phase {phase.value}"
            )
        offered = [e for e, (_, phases) in _EXTRAS.items() if phase in phases]
        hint = suggest(name, [*own, *offered, *PROVIDED])
        has = "function" if phase is Phase.LINE else "call"
        nothing = "no variables" if phase is Phase.LINE else "no parameters"
        raise ProbeError(
            f"{name!r} is unknown at {site.target}: the {has} has "
            f"{', '.join(sorted(own)) or nothing}, and phase {phase.value} "
            f"offers {', '.join([*offered, *PROVIDED])}{hint}"
        )

    def _span_steps(self, span: Span, site: Site) -> tuple[Step, ...]:
        names = self._names(expressions_of(self.probe), site)
        own = self._own_names(site)
        if span.propagate and span.propagate not in own:
            raise ProbeError(
                f"span.propagate names {span.propagate!r}, which is no parameter of "
                f"{site.target}: it has {', '.join(sorted(own)) or 'no parameters'}"
            )
        if span.propagate:
            names[span.propagate] = span.propagate
        # Loaded with the gates.
        from remora.agent.actions import SpanEnds

        gate = self._gate(site, (CALL_PARAMETER, *names))
        ends = SpanEnds(self.probe.id)
        # Steps of a way out run in reverse: a failure is told before the end.
        return (
            self._step("pre", gate, (CALL, *names.values())),
            self._step("post", ends.end, (CALL,)),
            replace(self._step("fail", ends.end, (CALL,)), closing=True),
            self._step("fail", ends.fail, (CALL, ERROR)),
        )

    def _protect_steps(self, site: Site) -> tuple[Step, ...]:
        # Loaded by Probes.add, before any lock was taken; few processes need it.
        from remora.agent.probes.guarding import guard_call

        when = self.probe.when
        names = self._names([] if when is None else [when], site)
        judge, call, wants = guard_call(
            self.probe, site, self._firings, self._is_secret, names, providers(site)
        )
        step = self._step(self.probe.phase.value, call, wants)
        return (replace(step, fault=judge.fault, check=_as_decided),)

    def _request_steps(self, site: Site) -> tuple[Step, ...]:
        action = self.probe.request
        assert action is not None
        if self.probe.phase is Phase.LINE:
            raise ProbeError(
                f"{site.target} is a line: a request context opens around a call, so "
                "give the function as the target"
            )
        if action.kind == "carry":
            return (self._stand_in(action, site),)
        if action.kind == "cut":
            return (self._deciding("pre", cut_condemned, ()),)
        if action.kind == "django":
            return (self._deciding("fail", refuse_in_django, ()),)
        values = dict(action.values)
        source = {"wsgi": "environ", "asgi": "scope"}.get(action.kind)
        if source is not None and source not in values:
            if action.callable and source not in site.parameters:
                # It only shows an app, as a constructor does, and serves none.
                return (self._stand_in(action, site),)
            values[source] = Expression.of_path(source)
        names = self._names(values.values(), site)
        code = Code(tuple(names), providers(site))
        collect = None
        if [each.text for each in values.values()] != list(names):
            elements = [code.value(expression) for expression in values.values()]
            collected = ast.Return(value=ast.Tuple(elts=elements, ctx=ast.Load()))
            collect = code.function("collect", [collected])
        scope = RequestScope(action.kind, tuple(values), collect, self._firings)
        wants = tuple(names.values())
        if action.kind == "details":
            return (self._step(self.probe.phase.value, scope.details, wants),)
        if action.kind == "handler":
            guard = self._deciding("post", guard_handler, ("self", RESULT))
            return (guard, self._step("post", scope.details, wants))
        if action.kind == "sanic":
            return (self._step("pre", SanicScope(scope).stand, ("self",)),)
        # Steps of a way out run in reverse: the edge is left and the error is noted
        # before the end.
        return (
            self._step("pre", scope.begin, (STATE, *wants)),
            self._step("post", scope.end, (STATE,)),
            replace(self._step("fail", scope.end, (STATE,)), closing=True),
            self._step("fail", scope.note_error, (STATE, ERROR)),
            *self._edge_steps(action, values, site),
        )

    def _edge_steps(
        self, action: RequestAction, values: dict[str, Expression], site: Site
    ) -> tuple[Step, ...]:
        """What guards the edge of the request, where the call has one."""
        if action.callable:
            return (self._stand_in(action, site),)
        if action.kind == "tornado":
            return (self._deciding("pre", refuse_in_tornado, ("self",)),)
        environ = values["environ"].text if action.kind == "wsgi" else ""
        if {environ, "start_response"} <= set(site.parameters):
            edge = WsgiEdgeSteps()
            shown = (STATE, environ, "start_response")
            if site.nature is Nature.GENERATOR:
                return (
                    self._deciding("pre", edge.enter_lazily, shown),
                    self._step("body", edge.replace, (STATE,)),
                )
            if site.nature is not Nature.PLAIN:
                return ()
            return (
                self._deciding("pre", edge.enter, shown),
                self._deciding("post", edge.leave, (STATE, RESULT)),
                self._deciding("fail", edge.fail, (STATE,)),
            )
        if (
            action.kind == "asgi"
            and site.nature is Nature.COROUTINE
            and {"receive", "send"} <= set(site.parameters)
        ):
            edge = AsgiEdgeSteps(self._firings)
            steps = (
                self._deciding("pre", edge.enter, (STATE, "receive", "send")),
                self._step("post", edge.leave, (STATE,)),
                self._deciding("fail", edge.fail, (STATE,)),
            )
            return tuple(replace(s, awaits=True, fault=edge.fault) for s in steps)
        return ()

    def _stand_in(self, action: RequestAction, site: Site) -> Step:
        owner, _, name = action.callable.rpartition(".")
        root = action.callable.partition(".")[0]
        if root not in site.parameters:
            raise ProbeError(
                f"request.callable names {root!r}, which is no parameter of "
                f"{site.target}: it has {', '.join(site.parameters)}"
            )
        if not owner:
            stand_in = StandIn(name, action.kind)
            return self._deciding("pre", stand_in.replace, (name,))
        if owner == root:
            stand_in = StandIn(name, action.kind)
        else:
            code = Code((root,), providers(site))
            read = ast.Return(value=code.value(Expression.of_path(owner)))
            stand_in = StandIn(name, action.kind, code.function("owner", [read]))
        return self._step("pre", stand_in.stand, (root,))

    def _deciding(
        self, phase: PhaseName, call: Callable[..., object], wants: tuple[str, ...]
    ) -> Step:
        return replace(self._step(phase, call, wants), check=_as_decided)

    def _step(
        self,
        phase: PhaseName | str,
        call: Callable[..., object],
        wants: tuple[str, ...],
    ) -> Step:
        assert phase in {"pre", "post", "fail", "line", "body"}
        return Step(
            phase=phase,  # pyright: ignore[reportArgumentType] - asserted above
            call=call,
            wants=wants,
            fault=self._firings.fault,
            check=_as_decided
            if self._decides and phase == self.probe.phase.value
            else None,
        )


def _as_decided(outcome: object) -> object:
    """Outcomes of an override were checked when they were made."""
    return outcome
