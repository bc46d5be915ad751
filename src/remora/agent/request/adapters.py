"""From a WSGI environ, an ASGI scope or loose values to a request context.

Method and path are taken when the request begins; query and headers only when an
expression asks for them, because most requests are never looked at. Bodies are never
touched here.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from remora.agent.request.context import RequestContext, current_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FIELDS_LIMIT = 200
"""Query fields that are kept: more is an attack or a mistake."""

HEADERS_LIMIT = 200
"""Headers that are kept: servers refuse more (gunicorn at 100)."""

HEADER_LIMIT = 8192
"""Characters of one: servers refuse longer ones (gunicorn at 8190)."""


_TEXT_LIMIT = 2000
_SERVED = ("http", "websocket")

_WITHOUT_PREFIX = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))
"""Headers that a WSGI environ names otherwise than the rest (PEP 3333)."""


def from_environ(context: RequestContext, environ: object) -> None:
    """Fill in what a WSGI environ says (PEP 3333)."""
    if type(environ) is not dict:
        return
    context.source = environ
    context.method = _text(environ.get("REQUEST_METHOD"))
    script, path = _text(environ.get("SCRIPT_NAME")), _text(environ.get("PATH_INFO"))
    context.path = (script or "") + (path or "") or "/"
    context.client = _text(environ.get("REMOTE_ADDR"))


def from_scope(context: RequestContext, scope: object) -> bool:
    """Fill in what an ASGI scope says; False where it is no request (lifespan)."""
    if type(scope) is not dict or _text(scope.get("type")) not in _SERVED:
        return False
    context.source = scope
    context.method = _text(scope.get("method", "WEBSOCKET"))
    context.path = _text(scope.get("path"))
    client = scope.get("client")
    if (type(client) is tuple or type(client) is list) and client:
        context.client = _text(client[0])
    return True


def from_values(context: RequestContext, values: Mapping[str, object]) -> None:
    """Fill in what expressions gave; what is missing or of another type is left."""
    for key in ("method", "path", "client", "route"):
        if (text := _text(values.get(key))) is not None:
            setattr(context, key, text)
    status = values.get("status")
    if type(status) is str:
        status = int(status[:3]) if status[:3].isdigit() else None
    if type(status) is int:
        context.status = status
    for key in ("query", "headers"):
        if key in values:
            setattr(context, f"raw_{key}", values[key])
    if "parameters" in values:
        context.parameters = values["parameters"]


def query_of(context: RequestContext) -> object:
    """The query string as it came, text or bytes."""
    source = context.source
    if type(source) is not dict:
        return context.raw_query
    return source.get("QUERY_STRING", source.get("query_string"))


def expanded_request() -> RequestContext | None:
    """The current request with query and headers filled in, for expressions."""
    context = current_request()
    if context is None:
        return None
    # While nothing is known yet, a framework further in may still bring it.
    is_known = context.source is not None
    if context.query is None and (is_known or context.raw_query is not None):
        context.query = _query(query_of(context))
    if context.headers is None and (is_known or context.raw_headers is not None):
        context.headers = dict(headers_of(context))
    return context


def headers_of(context: RequestContext) -> list[tuple[str, str]]:
    """Names in lower case and texts, in their order, repeated ones too."""
    source = context.source
    if type(source) is not dict:
        return list(_pairs(context.raw_headers))
    if "headers" in source:
        return list(_pairs(source["headers"]))
    return list(_environ_headers(source.copy()))


def header(context: RequestContext, name: str) -> str:
    """All headers of a name (in lower case) as one, as RFC 9110 5.3 joins them."""
    source = context.source
    if type(source) is dict and "headers" not in source:
        key = name.upper().replace("-", "_")
        key = key if key in _WITHOUT_PREFIX else f"HTTP_{key}"
        return text_of(source.get(key), HEADER_LIMIT) or ""
    return ", ".join(text for key, text in headers_of(context) if key == name)


def identifier_of(value: object) -> str:
    """An account's id as a text: of a text, a whole number or a UUID; else empty."""
    kind = type(value)
    if kind is str or kind is int:
        return str(value)[:_TEXT_LIMIT]
    uuid = sys.modules.get("uuid")
    return str(value) if uuid is not None and kind is uuid.UUID else ""


def text_of(value: object, limit: int) -> str | None:
    """The beginning of a text or of bytes; None for anything else."""
    if type(value) is bytes:
        value = value[:limit].decode("latin-1")
    return value[:limit] if type(value) is str else None


def _text(value: object) -> str | None:
    return text_of(value, _TEXT_LIMIT)


def _query(value: object) -> dict[str, object]:
    """Each field's text, or a list of texts where it comes more than once."""
    text = _text(value) or ""
    fields: dict[str, object] = {}
    for key, entry in parse_qsl(text, keep_blank_values=True)[:_FIELDS_LIMIT]:
        known = fields.get(key)
        if known is None:
            fields[key] = entry
        elif type(known) is list:
            known.append(entry)
        else:
            fields[key] = [known, entry]
    return fields


def _environ_headers(environ: dict[object, object]) -> Iterator[tuple[str, str]]:
    count = 0
    for key, value in environ.items():
        if type(key) is not str or type(value) is not str or count >= HEADERS_LIMIT:
            continue
        if key.startswith("HTTP_") or key in _WITHOUT_PREFIX:
            count += 1
            name = key.removeprefix("HTTP_").replace("_", "-").lower()
            yield name, value[:HEADER_LIMIT]


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    """Pairs of texts or bytes, as ASGI and gunicorn hold them, or aiohttp's mapping."""
    own = getattr(sys.modules.get("multidict"), "CIMultiDictProxy", None)
    if own is not None and type(value) is own:
        value = [(str(name), text) for name, text in own.items(value)]
    if type(value) is not list and type(value) is not tuple:
        return
    for pair in value[:HEADERS_LIMIT]:
        if (type(pair) is list or type(pair) is tuple) and len(pair) == 2:
            name, text = text_of(pair[0], HEADER_LIMIT), text_of(pair[1], HEADER_LIMIT)
            if name is not None and text is not None:
                yield name.lower(), text
