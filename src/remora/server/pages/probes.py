"""The pages of probes: the list, one probe, adding one, removing one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.errors import RemoraError
from remora.expression import REASONS
from remora.protocol import SUPPRESSIONS, UNMET_LIMIT
from remora.server.domain import DuplicateProbeError, RecordFilter, http_status
from remora.server.operations import UNREPORTED
from remora.server.pages import aggregates
from remora.server.pages.frame import see_other
from remora.server.pages.overview import NEEDS_ATTENTION
from remora.server.pages.probe_form import CheckedForm, check_form, empty_form
from remora.server.pages.records import SHOWN_AT_FIRST, Wanted, lines
from remora.server.pages.source import coloured, probe_toml

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.protocol import Status
    from remora.server.domain import KnownInstance, StoredProbe
    from remora.server.operations import Operations
    from remora.server.pages.frame import Visit

STATUSES_SHOWN = 200
"""Statuses on a probe's page, those that need attention first."""

ACTIONS = ("log", "snapshot", "count", "span", "set", "override", "protect", "request")
"""Keys of a probe that say what it does."""

AGGREGATES_DRAWN = 240
"""Aggregates in the picture over time: forty minutes of one instance."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """What one instance says of a probe; where it has said nothing, `silence` why."""

    known: KnownInstance
    status: Status | None
    is_live: bool
    silence: str = ""

    @property
    def state(self) -> str:
        """The word for it."""
        return UNREPORTED if self.status is None else self.status.state.value


async def probes(visit: Visit) -> Response:
    """The page `/probes`."""
    operations = visit.operations
    rows = await operations.probes.overview(operations.probes.all())
    return visit.page(
        "probes.html",
        rows=list(reversed(rows)),
        kept=await operations.probes.kept.overview(),
        attention=NEEDS_ATTENTION,
        actions=ACTIONS,
        base_url=visit.base_url,
    )


async def new_probe(visit: Visit) -> Response:
    """The page `/new-probe`: an empty form, or one that starts as a probe that is."""
    return _form_page(visit, empty_form())


async def preview(visit: Visit) -> Response:
    """What the form says so far, as TOML with its errors; changes nothing."""
    checked = check_form(visit.form)
    # What is still empty is no mistake yet.
    complaints = [
        message
        for field, message in checked.errors.items()
        if not field or checked.fields.get(field)
    ]
    return visit.page("preview.html", preview=_preview(checked), complaints=complaints)


async def add_probe(visit: Visit) -> Response:
    """Add the probe of the form, or show the form again with what is wrong."""
    checked = check_form(visit.form)
    if checked.errors or "preview" in visit.form:
        status = 200 if "preview" in visit.form else 400
        return _form_page(visit, checked, status)
    try:
        stored = await visit.operations.probes.add(
            dict(checked.source), visit.caller.name
        )
    except RemoraError as error:
        field = "id" if isinstance(error, DuplicateProbeError) else ""
        refused = CheckedForm(checked.fields, checked.source, {field: str(error)})
        return _form_page(visit, refused, http_status(error))
    return see_other(f"/probes/{stored.probe.id}")


async def probe(visit: Visit) -> Response:
    """The page of one probe."""
    operations = visit.operations
    stored = operations.probes.get(visit.request.path_params["id"])
    (row,) = await operations.probes.overview([stored])
    statuses = await _statuses(operations, stored)
    wanted = Wanted(probe=stored.probe.id)
    # Read before the list is, so that no record falls between list and stream.
    newest = await operations.records.last_id()
    # A page that renews its statuses has its records from the stream.
    found = (
        []
        if visit.is_renewal
        else await operations.records.find(wanted.filter(limit=SHOWN_AT_FIRST))
    )
    return visit.page(
        "probe.html",
        stored=stored,
        row=row,
        source=coloured(probe_toml(stored.probe.to_source())),
        statuses=statuses[:STATUSES_SHOWN],
        hidden=max(0, len(statuses) - STATUSES_SHOWN),
        elsewhere=operations.probes.elsewhere(stored),
        state_of=lambda known: operations.instances.state(known).value,
        why_suppressed=SUPPRESSIONS,
        unmet_limit=UNMET_LIMIT,
        why_missing=REASONS,
        attention=NEEDS_ATTENTION,
        records=lines(operations, found),
        last_id=max(newest, found[0].id if found else 0),
        wanted=wanted,
        picture=await _picture(operations, stored),
        base_url=visit.base_url,
    )


async def remove_probe(visit: Visit) -> Response:
    """Take a probe out everywhere."""
    probe_id = visit.request.path_params["id"]
    await visit.operations.probes.remove(probe_id, visit.caller.name)
    return see_other("/probes")


def _form_page(visit: Visit, checked: CheckedForm, status: int = 200) -> Response:
    known = [entry.instance for entry in visit.operations.instances.live()]
    return visit.page(
        "new_probe.html",
        status,
        fields=checked.fields,
        errors=checked.errors,
        preview=_preview(checked),
        complaints=(),
        apps=sorted({process.app for process in known}),
        envs=sorted({process.env for process in known} - {""}),
    )


def _preview(checked: CheckedForm) -> object:
    return coloured(probe_toml(checked.source)) if checked.source else ""


async def _statuses(operations: Operations, stored: StoredProbe) -> list[StatusRow]:
    said = await operations.probes.statuses(stored.probe.id)
    heard = {known.instance.id for known, _ in said}
    rows = [
        StatusRow(known, status, operations.instances.state(known).is_live)
        for known, status in said
    ]
    rows += [
        StatusRow(known, None, is_live=True, silence=reason)
        for known, reason in operations.probes.unanswered(stored, heard)
    ]
    rows.sort(
        key=lambda row: (
            not row.is_live,
            row.state not in NEEDS_ATTENTION,
            row.known.instance.app,
            row.known.instance.started,
        )
    )
    return rows


async def _picture(
    operations: Operations, stored: StoredProbe
) -> aggregates.Picture | None:
    if stored.probe.count is None:
        return None
    found = await operations.records.find(
        RecordFilter(probe=stored.probe.id, kind="aggregate", limit=AGGREGATES_DRAWN)
    )
    return aggregates.over_time([record.to_json() for record in found])
