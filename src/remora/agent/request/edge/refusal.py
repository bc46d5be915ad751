"""Who is refused, and what the client of a condemned request gets.

That is 403, and nothing about the reason.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remora.agent.request.actor import client_address
from remora.agent.request.adapters import header
from remora.agent.request.protected import protection

if TYPE_CHECKING:
    from remora.agent.request.context import RequestContext

STATUS = 403

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>403 Forbidden</title></head>
<body>
<h1>Forbidden</h1>
<p>This request was refused.</p>
<p>Request <code>{id}</code></p>
</body>
</html>
"""


def meet_list(context: RequestContext) -> str:
    """Condemn this request if an operator named its user or its address.

    Gives the reason for which it is condemned by now, or an empty text.
    """
    listed = protection.listed
    if listed and protection.blocks and not context.condemned:
        actors = [f"address:{client_address(context)}"]
        if context.user is not None:
            actors.append(f"user:{context.user.id}")
        if any(map(listed.hold, actors)):
            context.condemn("an operator blocked this user or address")
    return context.condemned


def refusal(context: RequestContext) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body, as JSON or as a page, whichever the client asks for."""
    if _wants_json(context):
        kind = "application/json"
        said = {"error": "forbidden", "status": STATUS, "request": context.id}
        body = json.dumps(said) + "\n"
    else:
        kind = "text/html; charset=utf-8"
        body = _PAGE.format(id=context.id)
    content = body.encode()
    headers = [
        ("Content-Type", kind),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
    ]
    return headers, b"" if context.method == "HEAD" else content


def _wants_json(context: RequestContext) -> bool:
    accepted = header(context, "accept").lower()
    json_at, html_at = accepted.find("json"), accepted.find("html")
    if json_at >= 0 or html_at >= 0:
        return json_at >= 0 and (html_at < 0 or json_at < html_at)
    return "json" in header(context, "content-type").lower()
