"""The pages of attacks: by the place in the code, one such place, one attack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remora.errors import ProbeError, WireError
from remora.protocol import parse_duration
from remora.server.domain import (
    AttackFilter,
    StoredRecord,
    is_for,
    now_ns,
    own_frame,
    to_ns,
)
from remora.server.pages.records import SHOWN_AT_FIRST, Wanted, lines

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.server.domain import StoredAttack
    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit
    from remora.server.pages.records import Line

SPANS = ("1h", "24h", "7d", "30d")
"""How far back the filter offers to look."""


async def attacks(visit: Visit) -> Response:
    """The page `/attacks`."""
    operations, asked = visit.operations, filter_of(visit)
    # Read before the list is, so that no attack falls between list and stream.
    newest = await operations.records.last_id()
    wanted = Wanted(app=asked.app, kind="attack")
    # A page that renews its table has its attacks from the stream, which knows apps.
    streamed = AttackFilter(app=asked.app, limit=SHOWN_AT_FIRST)
    found = [] if visit.is_renewal else await operations.attacks.find(streamed)
    return visit.page(
        "attacks.html",
        asked=asked,
        since=visit.asked("since"),
        spans=SPANS,
        rows=await _vulnerabilities(operations, asked),
        records=_lines(operations, found),
        wanted=wanted,
        last_id=max(newest, found[0].id if found else 0),
        apps=apps(operations),
        base_url=visit.base_url,
    )


async def vulnerability(visit: Visit) -> Response:
    """The page of one place in the code."""
    operations, identifier = visit.operations, visit.request.path_params["id"]
    row = await operations.attacks.vulnerability(identifier)
    asked = AttackFilter(vulnerability=identifier, limit=SHOWN_AT_FIRST)
    found = await operations.attacks.find(asked)
    return visit.page(
        "vulnerability.html",
        row=row.to_json(),
        frame=own_frame(row.newest.to_json()),
        accounts=await operations.attacks.accounts(asked),
        rules=[
            stored
            for stored in operations.rules.all()
            if stored.app in {"", row.newest.app} and is_for(stored.rule, row)
        ],
        attacks=[each.to_json() for each in found],
    )


async def attack(visit: Visit) -> Response:
    """The page of one attack."""
    operations = visit.operations
    found = await operations.attacks.get(min(visit.request.path_params["id"], 2**62))
    record = found.to_json()
    (line,) = _lines(operations, [found])
    return visit.page(
        "attack.html",
        attack=record,
        line=line,
        frame=own_frame(record),
        block=operations.blocks.of(found.app, line.text("actor")),
        body=msgspec.json.format(found.body, indent=2).decode(errors="replace"),
    )


def filter_of(visit: Visit) -> AttackFilter:
    """Which attacks the address of a page asks for. Raises WireError."""
    since = visit.asked("since")
    try:
        start = now_ns() - to_ns(parse_duration(since, "since")) if since else 0
    except ProbeError as error:
        raise WireError(str(error)) from None
    return AttackFilter(
        app=visit.asked("app"),
        env=visit.asked("env"),
        detector=visit.asked("detector"),
        since=max(0, start),
    )


def apps(operations: Operations) -> list[str]:
    """The apps that a form offers."""
    return sorted({known.instance.app for known in operations.instances.all()})


async def _vulnerabilities(
    operations: Operations, asked: AttackFilter
) -> list[dict[str, object]]:
    return [each.to_json() for each in await operations.attacks.vulnerabilities(asked)]


def _lines(operations: Operations, found: list[StoredAttack]) -> list[Line]:
    """Attacks as lists show records."""
    records = [StoredRecord(each.id, each.instance, "", each.body) for each in found]
    return lines(operations, records)
