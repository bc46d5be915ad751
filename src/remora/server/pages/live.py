"""Records as they arrive, for the pages that show them live.

They are sent as pieces of HTML made by the same template as the list's, so that one
place escapes what apps write.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from remora.errors import RemoraError
from remora.server.operations import FOLLOW_ROWS
from remora.server.pages.frame import HEADERS, fragment
from remora.server.pages.records import Wanted, lines, record_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from starlette.responses import Response

    from remora.server.pages.frame import Visit
    from remora.server.pages.records import Line

CHUNK = 100
"""Records sent to a page in one go; of more than that nobody reads each."""

PAUSE_S = 0.3
"""Between two of these, so that a flood of records costs the server little."""


async def stream(visit: Visit) -> Response:
    """The address `/records/stream`: the records that arrive from now on."""
    resumed = visit.request.headers.get("Last-Event-ID", "")
    after = record_id(resumed or visit.asked("after"), "after")
    return StreamingResponse(
        _events(visit, Wanted.of(visit), after),
        media_type="text/event-stream",
        headers={**HEADERS, "X-Accel-Buffering": "no"},
    )


async def _events(
    visit: Visit, wanted: Wanted, after: int | None
) -> AsyncGenerator[str]:
    operations = visit.operations
    records = operations.records
    position = await records.last_id() if after is None else after
    yield "retry: 2000\n\n: open\n\n"
    while not operations.hub.closing:
        following = records.follow(
            wanted.probe, wanted.instance, position, operations.settings.ping_s
        )
        async with aclosing(following):
            async for found in following:
                if not found:
                    if not _is_welcome(visit):
                        return
                    yield ": ping\n\n"
                    continue
                position = found[-1].id
                shown = list(filter(wanted.holds_for, lines(operations, found)))
                # Who lags behind goes on with the newest; the list has all of them.
                newest = await records.last_id()
                lags = len(found) == FOLLOW_ROWS and newest - position > FOLLOW_ROWS
                if lags:
                    position = newest - CHUNK
                yield _event(shown[-CHUNK:], position)
                if lags or len(shown) > CHUNK:
                    yield "event: skipped\ndata: some\n\n"
                await asyncio.sleep(PAUSE_S)
                if lags:
                    break


def _event(shown: Sequence[Line], position: int) -> str:
    if not shown:
        return ": nothing for this page\n\n"
    html = fragment("record_lines.html", records=list(reversed(shown)))
    data = "".join(f"data: {line}\n" for line in html.split("\n"))
    return f"event: records\nid: {position}\n{data}\n"


def _is_welcome(visit: Visit) -> bool:
    """Whether the session that opened a stream still holds."""
    try:
        visit.operations.guard.reader(visit.request)
    except RemoraError:
        return False
    return True
