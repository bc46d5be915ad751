"""From a request context to its inputs: all sources that are known by now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from remora.agent.request.adapters import (
    header,
    headers_of,
    query_of,
    read_opening,
    text_of,
)
from remora.agent.request.sources.bodies import add_body, add_message
from remora.agent.request.sources.collected import Collected
from remora.agent.request.sources.fields import (
    FIELDS_LIMIT,
    add_headers,
    add_path,
    add_query,
    again_as_utf8,
)
from remora.agent.request.sources.plain import plain_needles
from remora.detection import Inputs, add_forms, join_parts, needles_of
from remora.detection.inputs import Needles
from remora.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.agent.request.body import Body
    from remora.agent.request.context import RequestContext
    from remora.detection import Input

QUERY_LIMIT = 64 * 1024
"""Characters of a query string: servers refuse longer request lines (most at 8 KiB)."""

JOINED = frozenset(("query", "form", "json", "multipart"))
"""Sources in which a name may come several times, and apps join what came."""


REPEATED = frozenset(
    ("user-agent", "accept", "accept-language", "accept-encoding", "accept-charset",
     "cache-control", "connection", "content-length", "content-type", "dnt", "host",
     "pragma", "priority", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
     "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "te",
     "upgrade-insecure-requests")
)  # fmt: skip
"""Headers that clients repeat word for word in request after request. Others may hold
what belongs to one user, and are kept no longer than their request."""

_KNOWN_LIMIT = 500
"""Such headers that are remembered: a site's browsers have some dozens of each."""

_KNOWN_LENGTH = 300
"""Characters of one: longer user agents are rare."""


@frozen
class _Header:
    """The inputs of a header, and what an argument holds that holds one of them."""

    inputs: tuple[Input, ...]
    needles: Needles


_known: dict[tuple[str, str], _Header] = {}
"""What was made of them: most of what a request says, and always the same."""

_together: dict[tuple[int, ...], tuple[list[_Header], Needles]] = {}
"""The needles of the headers that a client sends together, by their identities."""


def inputs_of(context: RequestContext) -> Inputs:
    """The untrusted texts of a request, as far as they are known by now.

    Made when the first guarded sink asks, and again when more of the body was read or a
    framework has found parameters in the path.
    """
    body, source, parameters = context.body, context.source, context.parameters
    if parameters is None and type(source) is dict:
        parameters = source.get("path_params")
    stored = context.stored
    now = (
        0 if body is None else body.version,
        id(source),
        id(parameters),
        0 if stored is None else len(stored),
    )
    inputs = context.gathered
    if inputs is None or context.version != now:
        context.gathered = inputs = _gather(context, parameters)
        context.version = now
    return inputs


def _gather(context: RequestContext, parameters: object) -> Inputs:
    """All inputs of the request, with their forms.

    `parameters` are those that a framework has found in the path. What a plain request
    says is only cut into needles, and read when one of them is found somewhere.
    """
    read_opening(context)
    query = text_of(query_of(context), QUERY_LIMIT) or ""
    path = context.path or ""
    known, headers = _split(headers_of(context))
    body = context.body
    if (body is None or not body.version) and not context.stored:
        needles = plain_needles(query, path, parameters, headers)
        if needles is not None:
            needles.add(_needles_of_all(known))
            late = partial(_late, query, path, parameters, headers, known)
            return Inputs.behind(needles, late)
    found = Collected()
    _add_all(found, query, path, parameters, headers)
    if body is not None and body.version:
        _add_body(found, body, header(context, "content-type"))
    for text, sender in (context.stored or {}).copy().items():
        found.add(text, "stored", sender)
    inputs = _with_joined(found.inputs)
    everything = [*inputs, *(given for each in known for given in each.inputs)]
    if found.is_small and not found.cut:
        needles = needles_of([each.text for each in inputs])
        if needles is not None:
            needles.add(_needles_of_all(known))
            return Inputs.behind(needles, partial(add_forms, everything))
    return Inputs(add_forms(everything), found.cut or None)


def _late(
    query: str,
    path: str,
    parameters: object,
    headers: list[tuple[str, str]],
    known: list[_Header],
) -> Iterator[Input]:
    """What is read of a plain request once it is asked for."""
    found = Collected()
    _add_all(found, query, path, parameters, headers)
    yield from add_forms(_with_joined(found.inputs))
    for each in known:
        yield from add_forms(each.inputs)


def _add_all(
    found: Collected,
    query: str,
    path: str,
    parameters: object,
    headers: list[tuple[str, str]],
) -> None:
    add_query(found, query, "query")
    _add_parameters(found, parameters)
    add_path(found, path)
    if not path.isascii():
        add_path(found, again_as_utf8(path))
    add_headers(found, headers)


def forget() -> None:
    """Keep nothing of what requests have said."""
    _known.clear()
    _together.clear()


def _with_joined(inputs: list[Input]) -> list[Input]:
    parts = [each for each in inputs if each.source in JOINED]
    return inputs if len(parts) < 2 else [*inputs, *join_parts(parts)]


def _split(
    headers: list[tuple[str, str]],
) -> tuple[list[_Header], list[tuple[str, str]]]:
    """What is known of headers that are always the same, and the other headers."""
    known: list[_Header] = []
    others: list[tuple[str, str]] = []
    for pair in headers:
        header = _known.get(pair)
        if header is None and pair[0] in REPEATED:
            header = _learn(pair)
        if header is None:
            others.append(pair)
        else:
            known.append(header)
    return known, others


def _needles_of_all(known: list[_Header]) -> Needles:
    key = tuple(map(id, known))
    found = _together.get(key)
    if found is None:
        needles = Needles((), ())
        for each in known:
            needles.add(each.needles)
        if len(_together) >= _KNOWN_LIMIT:
            _together.clear()
        # The headers are kept with them: no other object may get the identity of one.
        found = _together[key] = known, needles
    return found[1]


def _learn(pair: tuple[str, str]) -> _Header | None:
    """What there is to know of a header, or None where it may be one user's own."""
    if len(pair[1]) > _KNOWN_LENGTH:
        return None
    found = Collected()
    add_headers(found, [pair])
    needles = needles_of([each.text for each in found.inputs])
    if needles is None:
        return None
    if len(_known) >= _KNOWN_LIMIT:
        _known.clear()
    header = _known[pair] = _Header(tuple(found.inputs), needles)
    return header


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
