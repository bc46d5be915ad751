"""Why no request is seen in a process that calls guarded sinks.

Imported once some were called outside of any request, which most processes never do.
"""

from __future__ import annotations

import sys

UNSEEN_SERVERS = {
    "robyn": "Robyn",
    "twisted.web.resource": "Twisted's own resources",
    "bjoern": "bjoern",
    "meinheld": "meinheld",
    "grpc._server": "gRPC's server",
    "granian": "granian where the agent came after its workers began",
    "uwsgi": "uWSGI with an app of no known framework",
    "mod_wsgi": "mod_wsgi with an app of no known framework",
}
"""By module: what answers requests that no probe of the wheel sees."""

OUTSIDE_ALLOWED = 1000
"""Guarded sinks that a process calls for itself without a word: imports open files."""


def explain_unseen(outside: int, few: int) -> str:
    """What is wrong with a process that has called so many, or nothing.

    More than `few` are too many where a server is there that nobody sees.

    The sentence stays the same while they grow in number: each new one is told.
    """
    servers = [UNSEEN_SERVERS[name] for name in UNSEEN_SERVERS if name in sys.modules]
    allowed = few if servers else OUTSIDE_ALLOWED
    if outside < allowed:
        return ""
    said = (
        f"unprotected: no request was seen though more than {allowed} guarded sinks "
        "were called outside any"
    )
    if servers:
        said += f"; remora sees none of {' or '.join(servers)}: give it a request probe"
    return said
