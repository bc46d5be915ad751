"""The pages of records: the list of those that are wanted, and one by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from remora.errors import WireError
from remora.server.domain import NoSuchAddressError, RecordFilter, UnknownInstanceError
from remora.server.pages import aggregates, traces, values
from remora.server.pages.frame import address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from remora.server.domain import KnownInstance, StoredRecord
    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit

SHOWN_AT_FIRST = 50
"""Records of a list before one asks for older ones."""

READ_AT_ONCE = 200
READS_FOR_A_PAGE = 25
"""Reads in search of one app's records: 5,000 records back; then the page says so."""

TRACE_RECORDS = 1000
"""Records before a span, and spans from there on, in which its trace is looked for."""

_WHOLE_TEXT = 2_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """A record as a list shows it, with the instance it came from, where known."""

    id: int
    record: Mapping[str, object]
    known: KnownInstance | None
    instance: str
    values: tuple[values.Node, ...]
    table: aggregates.Table | None

    @property
    def kind(self) -> str:
        """The kind of record."""
        return str(self.record.get("kind", ""))

    def text(self, *path: str) -> str:
        """What stands under these keys, as text; empty where there is nothing."""
        value: object = self.record
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            return ""
        return value if isinstance(value, str) else values.one_line(value)

    @property
    def span(self) -> str:
        """The name of a span, and how it failed."""
        if self.kind != "span":
            return ""
        error = self.text("error")
        return f"{self.text('name')} failed: {error}" if error else self.text("name")

    @property
    def override(self) -> str:
        """What was put in place of the call's own course, in words."""
        override = self.record.get("override")
        if not isinstance(override, dict):
            return ""
        verbs = {"return": "return", "raise": "raise", "arguments": "go on with"}
        would = "would " if override.get("mode") == "watch" else ""
        verb = verbs.get(str(override.get("kind")), "do")
        value = override.get("value")
        text = value if isinstance(value, str) and verb == "raise" else None
        return f"{would}{verb} {values.one_line(value) if text is None else text}"

    @property
    def attack(self) -> str:
        """What an attack did, and by whom."""
        if self.kind != "attack":
            return ""
        where = f"{self.text('source')} {self.text('parameter')}".strip()
        parts = [f"{self.text('detector')}: {self.text('sentence')}"]
        parts += [f"by {self.text('actor')}", *([f"in {where}"] if where else [])]
        return ", ".join(parts)

    @property
    def frames(self) -> list[Mapping[str, object]]:
        """The frames of the stack, where there is one."""
        stack = self.record.get("stack")
        frames = stack if isinstance(stack, list) else []
        return [frame for frame in frames if isinstance(frame, dict)]

    def locals_of(self, frame: Mapping[str, object]) -> tuple[values.Node, ...]:
        """The locals of a frame, where it was chosen."""
        return values.forest(frame.get("locals"))

    @property
    def user_keywords(self) -> tuple[values.Node, ...]:
        """What is known of the user besides the id."""
        user = self.record.get("user")
        inside = user if isinstance(user, dict) else {}
        return values.forest({key: inside[key] for key in inside if key != "id"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a page is about."""

    probe: str = ""
    instance: str = ""
    app: str = ""
    kind: str = ""

    @classmethod
    def of(cls, visit: Visit) -> Wanted:
        """What the address of a page asks for."""
        return cls(
            probe=visit.asked("probe"),
            instance=visit.asked("instance"),
            app=visit.asked("app"),
            kind=visit.asked("kind"),
        )

    def filter(
        self, *, limit: int, before: int | None = None, after: int | None = None
    ) -> RecordFilter:
        """The part of it that the store can answer."""
        return RecordFilter(
            probe=self.probe,
            instance=self.instance,
            kind=self.kind,
            limit=limit,
            before=before,
            after=after,
        )

    def holds_for(self, line: Line) -> bool:
        """The part of it that the store cannot answer, and what `follow` leaves."""
        app = "" if line.known is None else line.known.instance.app
        return self.app in {"", app} and self.kind in {"", line.kind}

    def stream(self) -> str:
        """The address of the stream of these records."""
        return address(
            "/records/stream",
            probe=self.probe,
            instance=self.instance,
            app=self.app,
            kind=self.kind,
        )


async def records(visit: Visit) -> Response:
    """The page `/records`."""
    operations, wanted = visit.operations, Wanted.of(visit)
    before = record_id(visit.asked("before"), "before")
    # Read before the list is, so that no record falls between list and stream.
    newest = await operations.records.last_id()
    found, older, is_cut = await _newest(operations, wanted, before)
    return visit.page(
        "records.html",
        records=found,
        wanted=wanted,
        is_older=before is not None,
        older=older,
        is_cut=is_cut,
        last_id=max(newest, found[0].id if found else 0),
        apps=sorted({known.instance.app for known in operations.instances.all()}),
        probes=[stored.probe.id for stored in operations.probes.all()],
        base_url=visit.base_url,
    )


async def record(visit: Visit) -> Response:
    """The page of one record, which shows it whole."""
    number = visit.request.path_params["id"]
    found = await visit.operations.records.find(RecordFilter(after=number - 1, limit=1))
    if not found or found[0].id != number:
        raise NoSuchAddressError(
            f"there is no record {number}: it may have been pruned by age or size"
        )
    body = msgspec.json.format(found[0].body, indent=2).decode(errors="replace")
    (line,) = lines(visit.operations, found, values.PAGE_NODES)
    return visit.page(
        "record.html",
        line=line,
        body=body[:_WHOLE_TEXT],
        spans=await _trace(visit.operations, line),
        width=traces.WIDTH,
    )


async def _trace(operations: Operations, line: Line) -> list[traces.SpanRow]:
    """The other spans of a span's trace, as far as they arrived close to it."""
    if line.kind != "span" or not line.text("trace"):
        return []
    wanted = RecordFilter(
        kind="span", after=max(0, line.id - TRACE_RECORDS), limit=TRACE_RECORDS
    )
    near = [stored.to_json() for stored in await operations.records.find(wanted)]
    same = [each for each in near if each.get("trace") == line.record["trace"]]
    return traces.waterfall(same, line.id)


def lines(
    operations: Operations,
    found: Sequence[StoredRecord],
    nodes: int = values.LIST_NODES,
) -> list[Line]:
    """Records as lists show them."""
    return [_line(operations, stored, nodes) for stored in found]


async def _newest(
    operations: Operations, wanted: Wanted, before: int | None
) -> tuple[list[Line], int, bool]:
    """A page of records, where the next one starts, and whether the search was cut.

    The next one starts below an id, which is 0 where there is none.
    """
    chosen: list[Line] = []
    limit = READ_AT_ONCE if wanted.app else SHOWN_AT_FIRST
    for _ in range(READS_FOR_A_PAGE):
        asked = wanted.filter(limit=limit, before=before)
        found = await operations.records.find(asked)
        chosen += filter(wanted.holds_for, lines(operations, found))
        if len(chosen) >= SHOWN_AT_FIRST:
            return chosen[:SHOWN_AT_FIRST], chosen[SHOWN_AT_FIRST - 1].id, False
        if len(found) < limit:
            return chosen, 0, False
        before = found[-1].id
    return chosen, before or 0, True


def _line(operations: Operations, stored: StoredRecord, nodes: int) -> Line:
    body = stored.to_json()
    try:
        known = operations.instances.get(stored.instance)
    except UnknownInstanceError:
        known = None
    is_aggregate = body.get("kind") == "aggregate"
    rows = 1000 if nodes > values.LIST_NODES else aggregates.ROWS_SHOWN
    return Line(
        id=stored.id,
        record=body,
        known=known,
        instance=stored.instance,
        values=values.forest(body.get("values"), nodes),
        table=aggregates.table(body, rows) if is_aggregate else None,
    )


def record_id(text: str, name: str) -> int | None:
    """The id of a record in the parameter `name`; None where it is not given."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise WireError(f"{name} = {text[:60]!r} is no id of a record")
    return int(text)
