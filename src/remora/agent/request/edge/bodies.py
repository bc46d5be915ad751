"""The body of a request at its edge: where what the app reads of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.request.adapters import header
from remora.agent.request.body import Body
from remora.agent.request.sieve import Sieve
from remora.agent.request.sources.multipart import boundary_of

if TYPE_CHECKING:
    from remora.agent.request.context import RequestContext


def watched_body(context: RequestContext) -> Body:
    """An empty body for this request, which keeps no files if it is multipart."""
    kind = header(context, "content-type")
    boundary = boundary_of(kind) if kind.lower().startswith("multipart/") else ""
    return Body(Sieve(boundary) if boundary else None)


def note_message(context: RequestContext, message: object) -> None:
    """Keep a message of a websocket that a probe has met."""
    if context.body is None:
        context.body = watched_body(context)
    context.body.saw_message(message)
