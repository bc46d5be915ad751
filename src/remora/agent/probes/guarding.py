"""The steps of a protect probe: where at a site its argument is found.

Mostly that is a parameter, and the judge itself is the step: no gate is in between. A C
function that does not say what it takes is looked at by position and keyword.
Imported before the first protect probe is placed.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from remora.agent.actions.protect import Judge
from remora.agent.interception import ARGS, KWARGS, RESULT
from remora.detection import sql
from remora.errors import ProbeError
from remora.expression import MISSING, Code, Expression
from remora.protocol import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remora.agent.actions import Firings
    from remora.agent.capture import SecretNames
    from remora.agent.interception import AppValue
    from remora.agent.targets import Site
    from remora.protocol import Probe

    Names = Mapping[str, str]
    """Names of a condition, each with what the trampoline must pass."""

_ARGS, _KWARGS, _RESULT = "remora args", "remora kwargs", "remora result"
"""No names that an expression could have."""


def guard_call(
    probe: Probe,
    site: Site,
    firings: Firings,
    is_secret: SecretNames,
    names: Names,
    providers: Mapping[str, Callable[[], object]],
) -> tuple[Judge, Callable[..., object], tuple[str, ...]]:
    """The judge at a site, what its step calls, and what that wants.

    `names` are those of the probe's condition. Raises ProbeError where the argument is
    not there.
    """
    judge = Judge(probe, site, firings, is_secret)
    if probe.protect is not None and probe.protect.detector == "sql":
        sql.lexer_of(probe.protect.dialect)  # compiled now, and not within a request
    chosen = _choose(probe, site)
    wants = dict(names)
    if chosen is None:
        wants |= {_ARGS: ARGS, _KWARGS: KWARGS}
    else:
        wants |= {name: name for name in chosen.names}
    if probe.phase is Phase.POST:
        wants[_RESULT] = RESULT
    tokens = tuple(wants.values())
    is_plain = chosen is not None and chosen.names == frozenset((chosen.text,))
    if is_plain and probe.when is None:
        return judge, judge.fire, tokens
    code = Code(tuple(wants), providers)
    if chosen is None:
        look = code.constant(_picker(probe, site))
        given = [code.parameter(_ARGS), code.parameter(_KWARGS)]
        values: list[ast.expr] = [ast.Call(func=look, args=given, keywords=[])]
    else:
        values = [code.value(chosen)]
    if _RESULT in wants:
        values.append(code.parameter(_RESULT))
    call = ast.Call(func=code.constant(judge.fire), args=values, keywords=[])
    body: list[ast.stmt] = [ast.Return(value=call)]
    if probe.when is not None:
        body = [ast.If(test=code.condition(probe.when), body=body, orelse=[])]
    return judge, code.function("gate", body), tokens


def _choose(probe: Probe, site: Site) -> Expression | None:
    """The first way to the argument that the parameters of the site allow."""
    assert probe.protect is not None
    if site.signature is not None and not site.signature.is_known:
        return None
    own = {*site.parameters, site.var_positional, site.var_keyword} - {""}
    positional = site.counted
    for way in probe.protect.arguments:
        if isinstance(way, int):
            if way < len(positional):
                return Expression.parse(positional[way])
        elif way.names and own.issuperset(way.names):
            return way
    if site.var_positional or site.var_keyword:
        return None
    texts = [w if isinstance(w, int) else w.text for w in probe.protect.arguments]
    raise ProbeError(
        f"protect.argument = {texts} is not there at {site.target}: it has "
        f"{', '.join(sorted(own)) or 'no parameters'}"
    )


def _picker(probe: Probe, site: Site) -> Callable[[AppValue, AppValue], AppValue]:
    """How the argument is found in calls of what does not name its parameters."""
    assert probe.protect is not None
    ways = probe.protect.arguments
    places = [way + site.hidden for way in ways if isinstance(way, int)]
    names = [way.text for way in ways if not isinstance(way, int)]

    def pick(args: AppValue, kwargs: AppValue) -> AppValue:
        for place in places:
            if place < len(args):
                return args[place]
        for name in names:
            if name in kwargs:
                return kwargs[name]
        return MISSING

    return pick
