"""Coming in with an operator's token, and leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import TokenRefusedError
from remora.server.domain import http_status
from remora.server.pages.frame import (
    read_form,
    rendered,
    see_other,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit


TOKEN_FILE = "operator.token"  # noqa: S105 - where the secret is, not the secret


async def show_login(operations: Operations, request: Request) -> Response:
    """The page that asks for a token."""
    return _login_page(operations, wanted=request.query_params.get("next", ""))


async def log_in(operations: Operations, request: Request) -> Response:
    """Open a session with the token of the form."""
    form = await read_form(request)
    wanted = form.get("next", "")
    try:
        session_id = await operations.credentials.log_in(form.get("token", ""))
    except TokenRefusedError as error:
        return _login_page(operations, wanted=wanted, error=error)
    response = see_other(_own_path(wanted))
    operations.guard.set_session(response, session_id)
    return response


async def log_out(visit: Visit) -> Response:
    """End the session of this browser."""
    guard = visit.operations.guard
    await visit.operations.credentials.log_out(guard.session_id(visit.request))
    response = see_other("/login")
    guard.set_session(response, "")
    return response


def _login_page(
    operations: Operations, *, wanted: str, error: TokenRefusedError | None = None
) -> Response:
    settings = operations.settings
    # Who reads a loopback server's pages may know its paths; strangers need not.
    token_file = str(settings.data / TOKEN_FILE) if settings.is_loopback else TOKEN_FILE
    return rendered(
        "login.html",
        200 if error is None else http_status(error),
        visit=None,
        wanted=_own_path(wanted),
        error=error,
        token_file=token_file,
    )


def _own_path(wanted: str) -> str:
    """`wanted` if it is a path of ours: a login must not end on another site."""
    is_own = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_own and wanted.isprintable() else "/"
