"""From a request context to its inputs: all sources that are known by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.adapters import headers_of, query_of, text_of
from remora.agent.request.sources.bodies import add_body, add_message
from remora.agent.request.sources.collected import Collected
from remora.agent.request.sources.fields import (
    FIELDS_LIMIT,
    add_headers,
    add_path,
    add_query,
    again_as_utf8,
)
from remora.detection import Inputs, add_forms, join_parts

if TYPE_CHECKING:
    from remora.agent.request.body import Body
    from remora.agent.request.context import RequestContext

QUERY_LIMIT = 64 * 1024
"""Characters of a query string: servers refuse longer request lines (most at 8 KiB)."""

JOINED = frozenset(("query", "form", "json", "multipart"))
"""Sources in which a name may come several times, and apps join what came."""


def version(context: RequestContext) -> tuple[object, ...]:
    """What changes when there is more to know than before."""
    body = context.body
    return (
        0 if body is None else body.version,
        id(context.source),
        id(_parameters(context)),
        len(context.stored or ()),
    )


def gather(context: RequestContext) -> Inputs:
    """All inputs of the request, with their forms."""
    found = Collected()
    add_query(found, text_of(query_of(context), QUERY_LIMIT) or "", "query")
    _add_paths(found, context)
    headers = headers_of(context)
    add_headers(found, headers)
    if context.body is not None:
        _add_body(found, context.body, dict(headers).get("content-type", ""))
    for text, sender in (context.stored or {}).copy().items():
        found.add(text, "stored", sender)
    parts = [each for each in found.inputs if each.source in JOINED]
    inputs = Inputs(add_forms([*found.inputs, *join_parts(parts)]))
    inputs.cut = found.cut or inputs.cut
    return inputs


def _add_paths(found: Collected, context: RequestContext) -> None:
    _add_parameters(found, _parameters(context))
    path = (context.path or "").partition("?")[0]
    add_path(found, path)
    if not path.isascii():
        add_path(found, again_as_utf8(path))


def _add_parameters(found: Collected, parameters: object) -> None:
    """What the framework took out of the path, by name or in order."""
    if issubclass(type(parameters), dict):
        # aiohttp's are of a class of its own
        pairs = list(dict.copy(parameters).items())  # pyright: ignore[reportArgumentType] - a dict
    elif type(parameters) is tuple or type(parameters) is list:
        pairs = [("", value) for value in parameters]
    else:
        return
    for name, value in pairs[:FIELDS_LIMIT]:
        if type(value) is str or type(value) is int:
            found.add(str(value), "path", name if type(name) is str else "")


def _add_body(found: Collected, body: Body, content_type: str) -> None:
    content = body.content()
    if content:
        add_body(found, content, content_type, is_cut=body.is_cut)
    for message in body.messages.copy():
        add_message(found, message)


def _parameters(context: RequestContext) -> object:
    """Parameters that a framework has found in the path."""
    source = context.source
    if context.parameters is None and type(source) is dict:
        return source.get("path_params")
    return context.parameters
