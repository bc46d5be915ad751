"""Request probes on captured calls: which requests they would have opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remora.agent.request import (
    RequestContext,
    from_environ,
    from_scope,
    from_values,
    identifier_of,
)
from remora.cli.recorded import NotRecordedError, Told
from remora.cli.values import format_value
from remora.expression import Expression, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.protocol import Probe

AppValue = Any
Tree = Any

_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wsgi": (
        "environ",
        ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR"),
    ),
    "asgi": ("scope", ("type", "method", "path", "client")),
}
"""By kind: the key whose value is the gateway's dictionary, and what is read of it."""

_BY_EXPRESSIONS = ("custom", "details", "aiohttp", "tornado", "sanic", "handler")

_SHOWN = ("method", "path", "route", "client", "status")


def open_request(probe: Probe, read: Callable[[Tree], AppValue]) -> Told | None:
    """The request that a call would have opened, or None where it is none.

    `read` evaluates an expression on the call. Raises NotRecordedError.
    """
    request = probe.request
    assert request is not None
    if request.kind not in (*_PARTS, *_BY_EXPRESSIONS):
        raise NotRecordedError("what it does is decided in the process alone")
    given = dict(request.values)
    context = RequestContext()
    if request.kind in _PARTS:
        key, names = _PARTS[request.kind]
        if key not in given:
            raise NotRecordedError(f"the probe does not say where its {key} is")
        said = _read_parts(given.pop(key), names, read)
        if request.kind == "wsgi":
            from_environ(context, said)
        elif not from_scope(context, said):
            return None
    values = {key: read(each.tree) for key, each in given.items()}
    values = {k: v for k, v in values.items() if not isinstance(v, Missing)}
    from_values(context, values)
    user = identifier_of(values.get("user"))
    shown = {name: getattr(context, name) for name in _SHOWN}
    text = ", ".join(f"{k} = {format_value(v)}" for k, v in shown.items() if v)
    verb = "add to a request" if request.kind == "details" else "open a request"
    line = " ".join(filter(None, (context.method, context.path)))
    whom = f"user {format_value(user)}" if user else ""
    if not whom and context.client:
        whom = f"client {context.client}"
    return Told(text or "nothing known", f"{verb} {line}".strip(), whom)


def _read_parts(
    expression: Expression, names: tuple[str, ...], read: Callable[[Tree], AppValue]
) -> dict[str, AppValue]:
    """The parts of a gateway's dictionary; the rest of it is never recorded whole."""
    parts = {
        name: read(Expression.parse(f"({expression.text})[{name!r}]").tree)
        for name in names
    }
    return {name: v for name, v in parts.items() if not isinstance(v, Missing)}
