"""The operators' endpoints for protection: how apps are guarded, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from remora.server.api.answers import answer, no_content
from remora.server.api.bodies import read_message
from remora.server.api.messages import RuleMessage

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.operations import Operations

_ASIDE = ("app", "env", "expires", "vulnerability")


class RuleApi:
    """Each method is one line of the table in docs/protocol.md."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._rules = operations.rules

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/api/v1/protection", self.protection, methods=["GET"]),
            Route("/api/v1/rules", self.rules, methods=["GET"]),
            Route("/api/v1/rules", self.set, methods=["POST"]),
            Route("/api/v1/rules/{id}", self.remove, methods=["DELETE"]),
        ]

    async def protection(self, request: Request) -> Response:
        """How the apps are protected."""
        self._guard.operator(request)
        app = request.query_params.get("app", "")
        found = [each for each in self._rules.guarded() if app in {"", each.app}]
        return answer({"apps": [each.to_json() for each in found]})

    async def rules(self, request: Request) -> Response:
        """The rules, each with what became of it."""
        self._guard.operator(request)
        rows = [
            {**stored.to_json(), **outcome.to_json()}
            for stored, outcome in self._rules.with_outcomes()
        ]
        return answer({"rules": rows})

    async def set(self, request: Request) -> Response:
        """Let a rule hold."""
        caller = self._guard.operator(request)
        message = await read_message(request, RuleMessage)
        given = msgspec.structs.asdict(message)
        made = await self._rules.set(
            {key: text for key, text in given.items() if text and key not in _ASIDE},
            app=message.app,
            env=message.env,
            expires=message.expires,
            vulnerability=message.vulnerability,
            who=caller.name,
        )
        return answer(made.to_json(), 201)

    async def remove(self, request: Request) -> Response:
        """Take a rule out."""
        caller = self._guard.operator(request)
        await self._rules.remove(request.path_params["id"], caller.name)
        return no_content()
