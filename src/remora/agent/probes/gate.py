"""The gate of a probe: one function of exactly the values that its expressions name.

Imported with all that observes when there is a probe that does, before the lock of the
probes is taken: most processes have only requests to follow.

Gates in order of cost: the condition, then the limit, then what allocates. Sites whose
calls give the same names share one code object; only what reports knows its site.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import TYPE_CHECKING

from remora.agent.actions import (
    Callers,
    Decision,
    Kept,
    Report,
    SpanScope,
    Table,
    TopTable,
    count_size,
    plain_key,
)
from remora.agent.probes.provided import expressions_of, providers
from remora.agent.request import note
from remora.agent.runtime import originals
from remora.expression import (
    MISSING,
    Code,
    Expression,
    compile_condition,
    find_unread,
)
from remora.expression.source_text import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.agent.actions import Firings
    from remora.agent.capture import SecretNames
    from remora.agent.interception import AppValue
    from remora.agent.targets import Site
    from remora.protocol import Count, Probe

    Firing = Report | Decision | SpanScope
    """What a gate may fire; `at` gives the same for another site."""

    Made = tuple[FunctionType, Firing | None, str]
    """A gate, what it fires, and the name under which it knows that."""


def table_of(count: Count) -> Table:
    """An empty table for what a count asks for."""
    return Table() if count.top is None else TopTable(count.top)


class Gates:
    """Makes the gates of one probe, one a site."""

    __slots__ = ("_firings", "_is_secret", "_made", "_probe", "_shares", "_table")

    def __init__(
        self,
        probe: Probe,
        firings: Firings,
        is_secret: SecretNames,
        table: Table | None,
    ) -> None:
        self._probe = probe
        self._firings = firings
        self._is_secret = is_secret
        self._table = table
        names = {name for part in expressions_of(probe) for name in part.names}
        self._shares = names.isdisjoint({"target", "remora.target"})
        self._made: dict[tuple[str, ...], Made] = {}

    def at(self, site: Site, parameters: tuple[str, ...]) -> Callable[..., object]:
        """The function that the trampoline of a site calls with these values."""
        made = self._made.get(parameters)
        if made is None:
            made = self._make(site, parameters)
            if self._shares:
                self._made[parameters] = made
            return made[0]
        gate, firing, name = made
        if firing is None:
            return gate
        bound = gate.__globals__ | {name: firing.at(site).fire}
        return FunctionType(gate.__code__, bound, "gate")

    def _make(self, site: Site, parameters: tuple[str, ...]) -> Made:
        probe = self._probe
        code = Code(parameters, providers(site))
        body: list[ast.stmt] = []
        firing, name = self._firing(site, parameters), ""
        if probe.count is not None:
            assert self._table is not None
            body += _count_body(code, probe.count, self._table)
        if probe.notes:
            body += _note_body(code, probe, self._firings)
        if firing is not None:
            name = _name(code, firing.fire)
            body += _firing_body(code, parameters, name, self._firings)
        if probe.when is not None:
            unmet = _unmet_body(code, probe.when, parameters, site, self._firings)
            body = [ast.If(test=code.condition(probe.when), body=body, orelse=unmet)]
        return code.function("gate", body), firing, name

    def _firing(self, site: Site, parameters: tuple[str, ...]) -> Firing | None:
        """What a call that passes the gate goes to."""
        probe, firings = self._probe, self._firings
        if not (probe.reports or probe.override or probe.span):
            return None
        deliver, is_secret = firings.deliver, self._is_secret
        if probe.keep is not None:
            deliver = Kept(firings, _keep(probe.keep, site)).put
        code = Code(parameters, providers(site))
        if probe.span is not None:
            return SpanScope(probe, site, code, parameters, firings, deliver, is_secret)
        report = Report(probe, site, code, parameters, firings, is_secret, deliver)
        if probe.override is None:
            return report
        code = Code(parameters, providers(site))
        return Decision(probe, code, report, firings, site)


def _name(code: Code, value: object) -> str:
    """The name under which a constant can be used in source text."""
    node = code.constant(value)
    assert isinstance(node, ast.Name)
    return node.id


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value)


def _count_body(code: Code, count: Count, table: Table) -> list[ast.stmt]:
    """What Table.add does, written out: a key that is a text or int needs no call."""
    plain, kind = _name(code, plain_key), _name(code, type)
    text, whole, length = _name(code, str), _name(code, int), _name(code, len)
    body: list[ast.stmt] = []
    keys: list[str] = []
    for position, expression in enumerate(count.by):
        key = f"key{position}"
        body.append(_assign(key, code.value(expression)))
        body += parse_source(
            f"kind = {kind}({key})\n"
            f"if kind is {whole}: {key} = ('int', {key})\n"
            f"elif kind is not {text} or {length}({key}) > 256: {key} = {plain}({key})"
        ).body
        keys.append(key)
    if count.by_stack:
        keys.append(f"{_name(code, Callers().key)}()")
    key = keys[0] if len(keys) == 1 else f"({''.join(k + ', ' for k in keys)})"
    get, new = _name(code, table.find), _name(code, table.new_row)
    body += parse_source(
        f"key = {key}\nrow = {get}(key)\nif row is None: row = {new}(key)\nrow[0] += 1"
    ).body
    for measure, update in (
        (count.sum, "row[1] += value"),
        (count.min, "row[2] = value if row[2] is None or value < row[2] else row[2]"),
        (count.max, "row[3] = value if row[3] is None or value > row[3] else row[3]"),
        (count.average, "row[5] += value; row[6] += 1"),
        (count.histogram, f"{_name(code, count_size)}(row[4], value)"),
    ):
        if measure is not None:
            body.append(_assign("value", code.value(measure)))
            body += parse_source(
                f"kind = {kind}(value)\n"
                f"if kind is {whole} or kind is {_name(code, float)}: {update}"
            ).body
    return body


def _note_body(code: Code, probe: Probe, firings: Firings) -> list[ast.stmt]:
    """Set names of the state; a firing that does nothing else counts itself."""
    names = code.constant(tuple(name for name, _ in probe.notes))
    values = [code.value(expression) for _, expression in probe.notes]
    arguments = [names, ast.Tuple(elts=values, ctx=ast.Load())]
    call = ast.Call(func=code.constant(note), args=arguments, keywords=[])
    body: list[ast.stmt] = [ast.Expr(value=call)]
    if not (probe.reports or probe.count or probe.override):
        body += parse_source(f"{_name(code, firings)}.count += 1").body
    return body


def _keep(expression: Expression, site: Site) -> Callable[..., bool]:
    """What decides at the end of a request: a function of its error and duration."""
    own = providers(site)
    both = {f"remora.{name}": name for name in ("error", "duration_ms")}
    used = [name for name in (*both, *both.values()) if name in expression.names]
    condition = compile_condition(expression, used, own)

    def keep(error: object, duration_ms: float) -> bool:
        values = {"error": error, "duration_ms": duration_ms}
        return condition(*(values[name.removeprefix("remora.")] for name in used))

    return keep


def _unmet_body(
    code: Code,
    when: Expression,
    parameters: tuple[str, ...],
    site: Site,
    firings: Firings,
) -> list[ast.stmt]:
    """Count a call at which the condition did not hold, and now and then look why."""
    own, unmet = providers(site), firings.unmet

    def look(*values: AppValue) -> None:
        given = dict(zip(parameters, values, strict=True))

        def value_of(name: str) -> AppValue:
            if name in given:
                return given[name]
            return own[name]() if name in own else MISSING

        unread: dict[str, str] = {}
        find_unread(when.tree, value_of, unread)
        unmet.looked(unread)

    # Nodes and no text, because nearly every probe has this, and parsing takes longer.
    counter, load = code.constant(unmet), ast.Load()
    count = ast.Attribute(counter, "count", load)
    look_at = ast.Attribute(counter, "look_at", load)
    arguments = [code.parameter(name) for name in parameters]
    looks = ast.Expr(ast.Call(code.constant(look), arguments, []))
    counted = ast.Attribute(counter, "count", ast.Store())
    counts: list[ast.stmt] = [
        ast.AugAssign(counted, ast.Add(), ast.Constant(1)),
        ast.If(ast.Compare(count, [ast.GtE()], [look_at]), [looks], []),
    ]
    return [ast.If(look_at, counts, [])]


def _firing_body(
    code: Code, parameters: tuple[str, ...], fire: str, firings: Firings
) -> list[ast.stmt]:
    """The limit first; only what it lets through is fired. An outcome is returned."""
    clock, limiter = _name(code, originals.monotonic), _name(code, firings.limiter)
    body = parse_source(
        f"if {clock}() < {limiter}.open_at: {limiter}.suppressed += 1\n"
        f"else: return {fire}()"
    ).body
    test = body[0]
    assert isinstance(test, ast.If)
    (otherwise,) = test.orelse
    assert isinstance(otherwise, ast.Return)
    assert isinstance(otherwise.value, ast.Call)
    otherwise.value.args = [code.parameter(name) for name in parameters]
    return body
