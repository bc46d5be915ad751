"""The operators' endpoints for probes, and for the points where one can be set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.server.api.answers import answer, no_content
from remora.server.api.bodies import read_message
from remora.server.api.messages import PointsMessage, PolicyMessage, ProbeMessage

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.domain import KnownInstance, StoredProbe
    from remora.server.operations import Operations


class ProbeApi:
    """Probes, points, policies. Each method is one line of docs/protocol.md's table."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._instances = operations.instances
        self._probes = operations.probes
        self._queries = operations.queries

    def routes(self) -> list[Route]:
        """The paths and methods."""
        every, one = "/api/v1/probes", "/api/v1/probes/{id}"
        return [
            Route(every, self.listing, methods=["GET"]),
            Route(every, self.add, methods=["POST"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.replace, methods=["PUT"]),
            Route(one, self.remove, methods=["DELETE"]),
            Route("/api/v1/points", self.points, methods=["POST"]),
            Route("/api/v1/policies", self.policies, methods=["GET"]),
            Route("/api/v1/policies", self.set_policy, methods=["PUT"]),
        ]

    async def listing(self, request: Request) -> Response:
        """Every probe and where it stands, and what instances keep besides."""
        self._guard.operator(request)
        probes = await self._probes.overview(self._probes.all())
        return answer({"probes": probes, "kept": await self._probes.kept.overview()})

    async def add(self, request: Request) -> Response:
        """Take in a probe and push it."""
        caller = self._guard.operator(request)
        message = await read_message(request, ProbeMessage)
        stored = await self._probes.add(message.probe, caller.name)
        return answer(self._stored(stored), 201)

    async def show(self, request: Request) -> Response:
        """One probe, with what each instance says of it."""
        self._guard.operator(request)
        stored = self._probes.get(request.path_params["id"])
        (overview,) = await self._probes.overview([stored])
        said = await self._probes.statuses(stored.probe.id)
        heard = {known.instance.id for known, _ in said}
        return answer(
            {
                **overview,
                "statuses": [
                    {"instance": self._instance(known), "status": status.to_json()}
                    for known, status in said
                ],
                "unanswered": [
                    {"instance": self._instance(known), "reason": reason}
                    for known, reason in self._probes.unanswered(stored, heard)
                ],
                "elsewhere": [
                    {
                        "instance": self._instance(each.known),
                        "instances": each.instances,
                        "reason": each.reason,
                    }
                    for each in self._probes.elsewhere(stored)
                ],
            }
        )

    def _instance(self, known: KnownInstance) -> dict[str, object]:
        state = self._instances.state(known).value
        return {**known.instance.to_json(), "state": state}

    async def replace(self, request: Request) -> Response:
        """Put a probe in place of another version of it."""
        caller = self._guard.operator(request)
        message = await read_message(request, ProbeMessage)
        probe_id: str = request.path_params["id"]
        stored = await self._probes.replace(probe_id, message.probe, caller.name)
        return answer(self._stored(stored))

    async def remove(self, request: Request) -> Response:
        """Take a probe out everywhere."""
        caller = self._guard.operator(request)
        await self._probes.remove(request.path_params["id"], caller.name)
        return no_content()

    async def policies(self, request: Request) -> Response:
        """What operators let this server do unsigned."""
        self._guard.operator(request)
        policies = [policy.to_json() for policy in self._probes.policies]
        return answer({"policies": policies})

    async def set_policy(self, request: Request) -> Response:
        """Take in a signed policy in place of the earlier one of its app."""
        caller = self._guard.operator(request)
        message = await read_message(request, PolicyMessage)
        policy = await self._probes.set_policy(message.policy, caller.name)
        return answer({"policy": policy.to_json()})

    async def points(self, request: Request) -> Response:
        """Ask an instance which targets match a pattern."""
        self._guard.operator(request)
        message = await read_message(request, PointsMessage)
        known, found = await self._queries.points(
            message.pattern,
            message.limit,
            app=message.app,
            env=message.env,
            instance=message.instance,
        )
        return answer(
            {
                "points": found.get("points", []),
                "instance": known.instance.id,
                "more": found.get("more", 0),
            }
        )

    def _stored(self, stored: StoredProbe) -> dict[str, object]:
        return {
            "probe": stored.probe.to_source(),
            "created": stored.created,
            "created_by": stored.created_by,
            "expires_at": stored.expires_at,
            "instances": len(self._instances.having(stored)),
        }
