"""Django's innermost layer: there a refusal is an answer and not a logged failure.

Its middlewares see an ordinary response, its signals are sent, and nobody is mailed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.request.context import current_request
from remora.agent.request.edge.refusal import STATUS, refusal
from remora.agent.request.protected import protection

if TYPE_CHECKING:
    from remora.agent.interception import AppValue


def django_refusal() -> AppValue | None:
    """The response of a condemned request, or None where it is none.

    The edge further out sends a refusal of its own instead, with the same status.
    """
    request, module = current_request(), sys.modules.get("django.http")
    if request is None or not request.condemned or not protection.blocks:
        return None
    if module is None:
        return None
    headers, body = refusal(request)
    kept = {name: value for name, value in headers if name != "Content-Length"}
    return module.HttpResponse(body, status=STATUS, headers=kept)
