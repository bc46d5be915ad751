"""The operators' endpoints for what instances are and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.server.api.answers import answer, number_parameter
from remora.server.domain import RecordFilter

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.operations import Operations

PAGE = 100
"""Records of an answer, where the request does not say."""

PAGE_HIGHEST = 1000
"""Records of an answer at most: about a megabyte."""


class ReadingApi:
    """Instances and records. Each method is one line of docs/protocol.md's table."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._instances = operations.instances
        self._records = operations.records

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/api/v1/instances", self.instances, methods=["GET"]),
            Route("/api/v1/records", self.records, methods=["GET"]),
        ]

    async def instances(self, request: Request) -> Response:
        """The instances that are asked for, each with its state."""
        self._guard.operator(request)
        asked = request.query_params
        drops = await self._instances.drops()
        rows: list[dict[str, object]] = []
        for known in self._instances.all():
            cost = self._instances.cost(known)
            guarded = self._instances.protection(known)
            process, state = known.instance, self._instances.state(known).value
            if all(
                asked.get(key, "") in {"", value}
                for key, value in (
                    ("app", process.app),
                    ("env", process.env),
                    ("state", state),
                )
            ):
                rows.append(
                    {
                        **process.to_json(),
                        "state": state,
                        "first_seen": known.first_seen,
                        "last_seen": known.last_seen,
                        "left": known.left,
                        "master_id": known.master_id,
                        "probes": self._instances.wanted_count(known),
                        "drops": drops.get(process.id, {}),
                        "cost": None if cost is None else cost.to_json(),
                        "protection": None if guarded is None else guarded.to_json(),
                    }
                )
        return answer({"instances": rows})

    async def records(self, request: Request) -> Response:
        """The records that are asked for, a page at a time."""
        self._guard.operator(request)
        asked = request.query_params
        limit = number_parameter(request, "limit", PAGE, highest=PAGE_HIGHEST) or PAGE
        found = await self._records.find(
            RecordFilter(
                probe=asked.get("probe", ""),
                instance=asked.get("instance", ""),
                kind=asked.get("kind", ""),
                after=number_parameter(request, "after", None),
                before=number_parameter(request, "before", None),
                limit=limit,
            )
        )
        body: dict[str, object] = {"records": [record.to_json() for record in found]}
        if len(found) == limit:
            body["next"] = found[-1].id
        return answer(body)
