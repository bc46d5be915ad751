"""The frame around every page: who looks, what a browser may load, how errors look.

A handler is an async function from a Visit to a response. `visited` makes an endpoint
of it: it finds out who is there, sends strangers to the login page, checks changes
(access, CSRF token), and turns every RemoraError into a page that says it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from remora.errors import RemoraError, WireError
from remora.server.domain import (
    Caller,
    NoSuchAddressError,
    TokenMissingError,
    TooLargeError,
    http_status,
    now_ns,
)
from remora.server.pages import text
from remora.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from remora.server.operations import Operations

Handler = Callable[["Visit"], Awaitable[Response]]
Endpoint = Callable[["Request"], Awaitable[Response]]

HERE = Path(__file__).parent

FORM_BYTES = 256 * 1024
"""A form with every field full is far below this."""

FORM_FIELDS = 100

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""`data:` is for the arrows and ticks that Pico draws; no script and no style can come
from anywhere but /static, inline ones least of all."""

HTMX_REQUEST = "HX-Request"


@dataclass(frozen=True, slots=True)
class Visit:
    """An operator at a page: the request, what the server can do, who it is."""

    request: Request
    operations: Operations
    caller: Caller
    form: Mapping[str, str]

    def page(self, template: str, status: int = 200, **content: object) -> Response:
        """A page of this visit."""
        visit = {
            "path": self.request.url.path,
            "caller": self.caller,
            "csrf": self.operations.guard.csrf_token(self.request),
        }
        return rendered(template, status, visit=visit, **content)

    @property
    def is_renewal(self) -> bool:
        """Whether a page that is open asks for its changing part."""
        return HTMX_REQUEST in self.request.headers

    def asked(self, name: str, limit: int = 200) -> str:
        """A parameter of the address, without the space around it."""
        return self.request.query_params.get(name, "").strip()[:limit]

    @property
    def base_url(self) -> str:
        """The address at which agents and tools reach this server."""
        public = self.operations.settings.public_url
        return (public or str(self.request.base_url)).rstrip("/")


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Jinja infers the types of these two from what it puts in itself.
    cast("dict[str, object]", made.filters).update(
        shown=text.shown,
        label=text.label,
        marked=text.marked,
        plain=text.plain,
        moment=text.moment,
        address=address,
    )
    cast("dict[str, object]", made.globals).update(version=__version__)
    return made


def address(path: str, **parameters: object) -> str:
    """A path of this server with those parameters that are not empty."""
    given = {key: str(value) for key, value in parameters.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


_TEMPLATES = _environment()


def rendered(template: str, status: int = 200, **content: object) -> Response:
    """A page from a template."""
    return HTMLResponse(fragment(template, **content), status, headers=HEADERS)


def fragment(template: str, **content: object) -> str:
    """The HTML of a template, with the time that its relative times count from."""
    return _TEMPLATES.get_template(template).render(now=now_ns(), **content)


def see_other(path: str) -> Response:
    """Send the browser to a page of ours after a change."""
    return RedirectResponse(path, 303, headers=HEADERS)


def visited(
    operations: Operations, handler: Handler, *, changes: bool = False
) -> Endpoint:
    """An endpoint for operators; one that `changes` needs full access and our form."""

    async def endpoint(request: Request) -> Response:
        caller: Caller | None = None
        try:
            caller = operations.guard.reader(request)
            form = await read_form(request) if request.method == "POST" else {}
            if request.method == "POST" and caller.by_cookie:
                operations.guard.check_csrf(request, form.get("csrf", ""))
            if changes:
                operations.guard.check_write(caller)
            return await handler(Visit(request, operations, caller, form))
        except TokenMissingError as error:
            return to_login(request, error)
        except RemoraError as error:
            operations.counters.errors[error.slug] += 1
            visit = None if caller is None else Visit(request, operations, caller, {})
            return refusal(error, visit)

    return endpoint


def unvisited(
    operations: Operations,
    handler: Callable[[Operations, Request], Awaitable[Response]],
) -> Endpoint:
    """An endpoint for whoever comes."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(operations, request)
        except RemoraError as error:
            operations.counters.errors[error.slug] += 1
            return refusal(error)

    return endpoint


async def unknown_address(request: Request) -> Response:
    """A page for browsers that ask for what is not there; an error for programs."""
    error = NoSuchAddressError(
        f"there is nothing under {request.url.path[:200]!r}: go on from the overview"
    )
    if "text/html" in request.headers.get("Accept", ""):
        return refusal(error)
    raise error


def to_login(request: Request, error: RemoraError) -> Response:
    """Send a stranger to the login page, and from there to where they wanted to go."""
    if "Authorization" in request.headers:
        return refusal(error)
    wanted = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        wanted += f"?{request.url.query}"
    path = "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}"
    if HTMX_REQUEST in request.headers:
        return Response(status_code=401, headers={**HEADERS, "HX-Redirect": "/login"})
    return see_other(path)


def refusal(error: RemoraError, visit: Visit | None = None) -> Response:
    """The page that says what was refused and what to do."""
    status = http_status(error)
    if visit is None:
        return rendered("error.html", status, visit=None, error=error)
    return visit.page("error.html", status, error=error)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent, the last of each name. Raises on too much."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise TooLargeError(f"the form is larger than {FORM_BYTES // 1024} KiB")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            max_num_fields=FORM_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise WireError(f"the form cannot be read: {error}") from None
    # Browsers send line ends as CR LF, whatever the page had.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}
