"""The pages of tokens and of the audit table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remora.errors import WireError
from remora.server.domain import Access, TokenKind
from remora.server.pages.frame import see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.server.pages.frame import Visit

AUDIT_SHOWN = 200
"""Changes on the page; the API answers with more."""

NAME_CHARACTERS = 100


async def audit(visit: Visit) -> Response:
    """The page `/audit`."""
    entries = await visit.operations.store.access.audit(AUDIT_SHOWN)
    rows = [(entry, _change(entry.old), _change(entry.new)) for entry in entries]
    return visit.page("audit.html", rows=rows, limit=AUDIT_SHOWN)


async def tokens(visit: Visit) -> Response:
    """The page `/tokens`."""
    return _tokens_page(visit)


async def add_token(visit: Visit) -> Response:
    """Make a token and show its text, this once."""
    form = visit.form
    name, app = form.get("name", "").strip(), form.get("app", "").strip()
    try:
        kind, access = _KINDS[form.get("kind", "")]
        if not 0 < len(name) <= NAME_CHARACTERS or len(app) > NAME_CHARACTERS:
            raise WireError(
                f"name = {name[:60]!r} and app = {app[:60]!r}: a token needs a name, "
                f"and neither may be longer than {NAME_CHARACTERS} characters"
            )
    except KeyError:
        raise WireError(
            f"kind = {form.get('kind', '')[:60]!r} is no kind of token"
        ) from None
    token, secret = await visit.operations.credentials.add(
        kind, name, visit.caller.name, app=app, access=access
    )
    return _tokens_page(visit, 201, made=token, secret=secret)


async def remove_token(visit: Visit) -> Response:
    """Make a token worthless at once."""
    token_id = visit.request.path_params["id"]
    await visit.operations.credentials.remove(token_id, visit.caller.name)
    return see_other("/tokens")


_KINDS = {
    "agent": (TokenKind.AGENT, Access.FULL),
    "read": (TokenKind.OPERATOR, Access.READ),
    "full": (TokenKind.OPERATOR, Access.FULL),
}


def _tokens_page(
    visit: Visit, status: int = 200, *, made: object = None, secret: str = ""
) -> Response:
    return visit.page(
        "tokens.html",
        status,
        tokens=visit.operations.credentials.tokens,
        made=made,
        secret=secret,
        own=visit.caller.token.id,
        apps=sorted({known.instance.app for known in visit.operations.instances.all()}),
    )


def _change(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=1)
