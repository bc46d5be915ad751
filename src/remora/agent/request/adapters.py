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
from remora.expression import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_FIELDS_LIMIT = 200
"""Query fields that are kept: more is an attack or a mistake."""

HEADERS_LIMIT = 200
"""Headers that are kept: servers refuse more (gunicorn at 100)."""

_ENVIRONS_LIMIT = 100
"""Sets of keys of which the headers are remembered: clients have some dozens."""

_KEYS_LENGTH = 4096
"""Characters of the keys of one: 30 to 50 keys have some 800."""

HEADER_LIMIT = 8192
"""Characters of one: servers refuse longer ones (gunicorn at 8190)."""


_TEXT_LIMIT = 2000
_SERVED = ("http", "websocket")
_TEXTS = frozenset(("method", "path", "client"))
_OPENING = frozenset(("method", "path", "client", "raw_query", "raw_headers"))
_UNREAD = {"query": "raw_query", "headers": "raw_headers"}
"""Values that are only kept, and where: they are read when somebody asks."""

_WITHOUT_PREFIX = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))
"""Headers that a WSGI environ names otherwise than the rest (PEP 3333)."""


class UnreadContext(RequestContext):
    """A request of which nobody has asked yet what its opening says, as of most.

    Whoever asks for the first of these texts has all of them read, and from then on
    this is a plain context: expressions read nothing else.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> object:
        if name not in _OPENING:
            raise AttributeError(f"a request has no attribute {name!r}")
        read_opening(self)
        return getattr(self, name)


def read_opening(context: RequestContext) -> None:
    """Fill in what the opening of a request says, and above that its environ.

    Threads of the request may do so at the same time, and see no half of it.
    """
    if type(context) is not UnreadContext or context.opening is None:
        return
    if type(context.source) is dict:
        texts, query, headers = _environ_texts(context.said), None, None
    else:
        names, collect, given = context.opening
        said = dict(zip(names, collect(*given), strict=True))
        method, path, client = (
            _text(said.get(k)) for k in ("method", "path", "client")
        )
        query, headers = [
            None if type(value := said.get(name)) is Missing else value
            for name in ("query", "headers")
        ]
        if path is not None and "?" in path and query is None:
            path, _, query = path.partition("?")
        texts = [method, path, client]
    context.method, context.path, context.client = texts
    context.raw_query, context.raw_headers = query, headers
    context.__class__ = RequestContext  # pyright: ignore[reportAttributeAccessIssue] - the same slots


def take_environ(context: RequestContext, environ: object) -> None:
    """Fill in what a WSGI environ says, if need be when it is asked for.

    Its texts are taken now, as middlewares write their own over them.
    """
    if type(environ) is dict and type(context) is UnreadContext:
        context.said = _said_by(environ)
        context.source = environ
    else:
        from_environ(context, environ)


def from_environ(context: RequestContext, environ: object) -> None:
    """Fill in what a WSGI environ says (PEP 3333)."""
    if type(environ) is not dict:
        return
    context.source = environ
    context.method, context.path, context.client = _environ_texts(_said_by(environ))


def _said_by(environ: dict[object, object]) -> tuple[object, ...]:
    get = environ.get
    return (
        *(get("REQUEST_METHOD"), get("REMOTE_ADDR")),
        *(get("SCRIPT_NAME"), get("PATH_INFO")),
    )


def _environ_texts(said: tuple[object, ...]) -> list[str | None]:
    method, client, script, path = [
        each[:_TEXT_LIMIT] if type(each) is str else _text(each) for each in said
    ]
    return [method, (script or "") + (path or "") or "/", client]


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
    """Fill in what expressions gave; what is missing or of another type is left.

    A path with a query, as it stands in the first line of a request, gives both.
    """
    for key, value in values.items():
        if type(value) is Missing:
            continue
        if key in FOUND_LATER:
            FOUND_LATER[key](context, value)
        elif key in _TEXTS:
            if (text := _text(value)) is not None:
                setattr(context, key, text)
        elif key in _UNREAD:
            setattr(context, _UNREAD[key], value)
    path = values.get("path")
    if type(path) is str and "?" in path and context.raw_query is None:
        path, _, context.raw_query = path.partition("?")
        context.path = path[:_TEXT_LIMIT]


def _put_status(context: RequestContext, value: object) -> None:
    if type(value) is str and value[:3].isdigit():
        context.status = int(value[:3])
    elif issubclass(type(value), int) and type(value) is not bool:
        # a status of http.HTTPStatus too, whose own methods are not asked
        context.status = int.__add__(value, 0)  # pyright: ignore[reportArgumentType] - asked one line above


def _put_route(context: RequestContext, value: object) -> None:
    context.route = context.route if (text := _text(value)) is None else text


def _put_parameters(context: RequestContext, value: object) -> None:
    context.parameters = value


FOUND_LATER: dict[str, Callable[[RequestContext, object], None]] = {
    "status": _put_status,
    "route": _put_route,
    "parameters": _put_parameters,
}
"""What is found out about a request that is open, and how it is put in."""


def query_of(context: RequestContext) -> object:
    """The query string as it came, text or bytes."""
    source = context.source
    if type(source) is not dict:
        return context.raw_query
    return source.get("QUERY_STRING", source.get("query_string"))


def known_request() -> RequestContext | None:
    """The current request with all that its opening says, for records."""
    context = current_request()
    if type(context) is UnreadContext:
        read_opening(context)
    return context


def expanded_request() -> RequestContext | None:
    """The current request with query and headers filled in, for expressions."""
    context = known_request()
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
    return _environ_headers(source)


def header(context: RequestContext, name: str) -> str:
    """All headers of a name (in lower case) as one, as RFC 9110 5.3 joins them."""
    source = context.source
    if type(source) is dict and "headers" not in source:
        key = name.upper().replace("-", "_")
        key = key if key in _WITHOUT_PREFIX else f"HTTP_{key}"
        return text_of(source.get(key), HEADER_LIMIT) or ""
    return ", ".join(text for key, text in headers_of(context) if key == name)


def text_of(value: object, limit: int) -> str | None:
    """The beginning of a text or of bytes; None for anything else."""
    if type(value) is bytes:
        value = value[:limit].decode("latin-1")
    return value[:limit] if type(value) is str else None


def _text(value: object) -> str | None:
    if type(value) is str:
        return value[:_TEXT_LIMIT]
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


_headers_in: dict[str, list[tuple[str, str]]] = {}
"""By all keys of an environ, which are the same in most requests of a client: those of
its headers, with the names that these have."""


def _environ_headers(environ: dict[object, object]) -> list[tuple[str, str]]:
    try:
        # One text: to look a key of another kind up would run code of its class.
        keys = "\0".join(environ)  # pyright: ignore[reportCallIssue, reportArgumentType] - caught below
        named = _headers_in.get(keys)
    except TypeError:
        keys, named = "", None
    if named is None:
        named = _find_headers(keys, environ)
    get = environ.get
    return [
        (name, text if len(text) <= HEADER_LIMIT else text[:HEADER_LIMIT])
        for name, key in named
        if type(text := get(key)) is str
    ]


def _find_headers(keys: str, environ: dict[object, object]) -> list[tuple[str, str]]:
    named = [
        (key.removeprefix("HTTP_").replace("_", "-").lower(), key)
        for key in environ.copy()
        if type(key) is str and (key.startswith("HTTP_") or key in _WITHOUT_PREFIX)
    ][:HEADERS_LIMIT]
    if 0 < len(keys) <= _KEYS_LENGTH:
        if len(_headers_in) >= _ENVIRONS_LIMIT:
            _headers_in.clear()
        _headers_in[keys] = named
    return named


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    """Pairs of texts or bytes, as ASGI and gunicorn hold them; those of others too.

    aiohttp and Sanic have them in a multidict, Tornado in lists.
    """
    multidict = sys.modules.get("multidict")
    for name in ("CIMultiDictProxy", "CIMultiDict"):
        own = getattr(multidict, name, None)
        if own is not None and issubclass(type(value), own):
            value = [(str(name), text) for name, text in own.items(value)]
    if type(value) is dict:
        lists = [(k, each) for k, each in value.items() if type(each) is list]
        value = [(name, text) for name, texts in lists for text in texts]
    if type(value) is not list and type(value) is not tuple:
        return
    for pair in value[:HEADERS_LIMIT]:
        if (type(pair) is list or type(pair) is tuple) and len(pair) == 2:
            name, text = text_of(pair[0], HEADER_LIMIT), text_of(pair[1], HEADER_LIMIT)
            if name is not None and text is not None:
                yield name.lower(), text
