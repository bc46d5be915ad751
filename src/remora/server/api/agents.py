"""The endpoints of agents, but for the two that wait (they are in `stream`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from remora.protocol import parse_cost, parse_instance, parse_status
from remora.protocol.protection import parse_protection
from remora.server.api.answers import answer, no_content
from remora.server.api.bodies import read_message
from remora.server.api.messages import (
    AnswerMessage,
    BatchMessage,
    GoodbyeMessage,
    RegisterMessage,
    StatusesMessage,
)
from remora.server.domain import parse_batch

if TYPE_CHECKING:
    from starlette.requests import Request

    from remora.server.operations import Operations


class AgentApi:
    """What agents send. Each method is one line of the table in docs/protocol.md."""

    def __init__(self, operations: Operations) -> None:
        self._guard = operations.guard
        self._instances = operations.instances
        self._probes = operations.probes
        self._records = operations.records
        self._queries = operations.queries
        ping_s = operations.settings.ping_s
        self._ping_s = int(ping_s) if ping_s.is_integer() else ping_s

    def routes(self) -> list[Route]:
        """The paths and methods."""
        table = {
            "register": self.register,
            "statuses": self.statuses,
            "records": self.records,
            "answers": self.answers,
            "goodbye": self.goodbye,
        }
        return [
            Route(f"/agent/v1/{name}", endpoint, methods=["POST"])
            for name, endpoint in table.items()
        ]

    async def register(self, request: Request) -> Response:
        """Take in an instance."""
        caller = self._guard.agent(request)
        message = await read_message(request, RegisterMessage)
        instance = parse_instance(message.instance)
        known = await self._instances.register(instance, caller)
        return answer(
            {
                "instance": known.instance.id,
                "revision": known.revision,
                "ping_s": self._ping_s,
            }
        )

    async def statuses(self, request: Request) -> Response:
        """Keep what an instance says of its probes, and of its agent's cost."""
        caller = self._guard.agent(request)
        message = await read_message(request, StatusesMessage)
        known = self._instances.touch(message.instance, caller)
        statuses = [parse_status(status) for status in message.statuses]
        if message.cost is not None:
            self._instances.note_cost(known.instance.id, parse_cost(message.cost))
        self._instances.note_heard(known.instance.id)
        if message.protection is not None:
            state = parse_protection(message.protection)
            self._instances.note_protection(known.instance.id, state)
        await self._probes.report(known, message.revision, statuses)
        return no_content()

    async def records(self, request: Request) -> Response:
        """Store a batch once."""
        caller = self._guard.agent(request)
        message = await read_message(request, BatchMessage)
        process = self._instances.touch(message.instance, caller).instance
        batch = parse_batch(
            message.batch,
            message.instance,
            message.records,
            message.drops,
            app=process.app,
            env=process.env,
        )
        fresh = await self._records.ingest(batch)
        stored = len(batch.records) if fresh else 0
        return answer({"stored": stored, "duplicate": not fresh})

    async def answers(self, request: Request) -> Response:
        """Hand an answer to the operator who asked."""
        caller = self._guard.agent(request)
        message = await read_message(request, AnswerMessage)
        self._instances.touch(message.instance, caller)
        self._queries.answer(message.instance, message.query, message.answer)
        return no_content()

    async def goodbye(self, request: Request) -> Response:
        """Note that an instance ends."""
        caller = self._guard.agent(request)
        message = await read_message(request, GoodbyeMessage)
        await self._instances.leave(message.instance, message.reason, caller)
        return no_content()
