"""The operators' endpoints for attacks, those who attack, blocks and notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.server.api.answers import answer, no_content, number_parameter
from remora.server.api.bodies import read_message
from remora.server.api.messages import BlockMessage
from remora.server.domain import AttackFilter, meant_actor

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.operations import Operations

PAGE = 100
"""Rows of an answer, where the request does not say."""

PAGE_HIGHEST = 1000
"""Rows of an answer at most: a few megabytes."""

_FILTERS = ("app", "env", "detector", "actor", "vulnerability")


class AttackApi:
    """Each method is one line of the table in docs/protocol.md."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._attacks = operations.attacks
        self._blocks = operations.blocks
        self._notifier = operations.notifier

    def routes(self) -> list[Route]:
        """The paths and methods."""
        return [
            Route("/api/v1/attacks", self.listing, methods=["GET"]),
            Route("/api/v1/attacks/{id:int}", self.show, methods=["GET"]),
            Route("/api/v1/vulnerabilities", self.vulnerabilities, methods=["GET"]),
            Route("/api/v1/users", self.accounts, methods=["GET"]),
            Route("/api/v1/users/one", self.account, methods=["GET"]),
            Route("/api/v1/blocks", self.blocks, methods=["GET"]),
            Route("/api/v1/blocks", self.block, methods=["POST"]),
            Route("/api/v1/blocks", self.unblock, methods=["DELETE"]),
            Route("/api/v1/notices/test", self.test_notice, methods=["POST"]),
        ]

    async def listing(self, request: Request) -> Response:
        """The attacks that are asked for, a page at a time."""
        self._guard.operator(request)
        wanted = _filter(request)
        found = await self._attacks.find(wanted)
        body: dict[str, object] = {"attacks": [each.to_json() for each in found]}
        if len(found) == wanted.limit:
            body["next"] = found[-1].id
        return answer(body)

    async def show(self, request: Request) -> Response:
        """One attack."""
        self._guard.operator(request)
        found = await self._attacks.get(min(request.path_params["id"], 2**62))
        return answer(found.to_json())

    async def vulnerabilities(self, request: Request) -> Response:
        """The same attacks, by the place in the code."""
        self._guard.operator(request)
        found = await self._attacks.vulnerabilities(_filter(request))
        return answer({"vulnerabilities": [each.to_json() for each in found]})

    async def accounts(self, request: Request) -> Response:
        """The same attacks, by who made them."""
        self._guard.operator(request)
        found = await self._attacks.accounts(_filter(request))
        rows = [
            {
                **each.to_json(),
                "is_blocked": self._blocks.of(each.app, each.actor) is not None,
            }
            for each in found
        ]
        return answer({"users": rows})

    async def account(self, request: Request) -> Response:
        """One of those, with what else it did."""
        self._guard.operator(request)
        asked = request.query_params
        actor = meant_actor(asked.get("actor", ""))
        found = await self._attacks.account(asked.get("app", ""), actor)
        return answer(found.to_json())

    async def blocks(self, request: Request) -> Response:
        """Whom apps are to refuse."""
        self._guard.operator(request)
        return answer({"blocks": [each.to_json() for each in self._blocks.all()]})

    async def block(self, request: Request) -> Response:
        """Block somebody, everywhere or in one app."""
        caller = self._guard.operator(request)
        message = await read_message(request, BlockMessage)
        block = await self._blocks.add(
            message.actor,
            app=message.app,
            reason=message.reason,
            expires=message.expires,
            who=caller.name,
        )
        return answer(block.to_json(), 201)

    async def unblock(self, request: Request) -> Response:
        """Let somebody in again."""
        caller = self._guard.operator(request)
        asked = request.query_params
        await self._blocks.remove(
            asked.get("actor", ""), app=asked.get("app", ""), who=caller.name
        )
        return no_content()

    async def test_notice(self, request: Request) -> Response:
        """Send a notice of no attack by every way that is set."""
        self._guard.operator(request)
        return answer({"channels": await self._notifier.test()})


def _filter(request: Request) -> AttackFilter:
    asked = request.query_params
    texts = {name: asked.get(name, "") for name in _FILTERS}
    texts["actor"] = meant_actor(texts["actor"])
    limit = number_parameter(request, "limit", PAGE, highest=PAGE_HIGHEST) or PAGE
    return AttackFilter(
        **texts,
        since=number_parameter(request, "since", 0) or 0,
        before=number_parameter(request, "before", None),
        limit=limit,
    )
