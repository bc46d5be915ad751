"""Queries: questions to one connected instance, and the answers to them."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import msgspec

from remora.errors import WireError
from remora.server.domain import BusyError, NoAnswerError, NoInstanceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.server.domain import KnownInstance
    from remora.server.operations.hub import Hub
    from remora.server.operations.instances import Instances

ANSWER_S = 10.0
"""Time for an answer: a pattern over a large program takes an agent a second or two,
in slices between the app's own work."""

QUERIES_WAITING = 20
"""Questions that may wait for one instance; further ones would only time out."""


class Queries:
    """The questions that are open."""

    def __init__(self, hub: Hub, instances: Instances) -> None:
        self._hub = hub
        self._instances = instances
        self._open: dict[str, tuple[str, asyncio.Future[Mapping[str, object]]]] = {}

    async def points(
        self,
        pattern: str,
        limit: int,
        *,
        app: str = "",
        env: str = "",
        instance: str = "",
    ) -> tuple[KnownInstance, Mapping[str, object]]:
        """Ask a connected instance which targets match `pattern`.

        Raises NoInstanceError, NoAnswerError, or WireError with the agent's sentence.
        """
        known = self._choose(app, env, instance)
        query = {"kind": "points", "pattern": pattern, "limit": limit}
        answer = await self._ask(known, query)
        if isinstance(refusal := answer.get("error"), str):
            raise WireError(refusal[:2000])
        return known, answer

    def answer(
        self, instance_id: str, query_id: str, answer: Mapping[str, object]
    ) -> None:
        """Hand an answer to whoever asked; one that comes too late is let go."""
        asked, future = self._open.get(query_id, ("", None))
        if future is not None and asked == instance_id and not future.done():
            future.set_result(answer)

    def close(self) -> None:
        """Let those who ask go: the server is stopping."""
        for _, future in self._open.values():
            if not future.done():
                future.set_exception(
                    BusyError("the server is stopping: ask again when it is back")
                )

    def _choose(self, app: str, env: str, instance: str) -> KnownInstance:
        """The instance that has been up longest: its modules are imported."""
        for known in self._instances.live():
            process = known.instance
            connection = self._hub.connection(process.id)
            if (
                app in {"", process.app}
                and env in {"", process.env}
                and process.id.startswith(instance)
                and connection is not None
                and connection.takes_queries
            ):
                return known
        asked = {"app": app, "env": env, "instance": instance}
        wanted = ", ".join(f"{key} = {text!r}" for key, text in asked.items() if text)
        raise NoInstanceError(
            f"no instance {f'with {wanted} ' if wanted else ''}is connected by a "
            "stream: start the app with remora run, and see remora ps"
        )

    async def _ask(
        self, known: KnownInstance, query: Mapping[str, object]
    ) -> Mapping[str, object]:
        instance_id = known.instance.id
        connection = self._hub.connection(instance_id)
        if connection is None or len(connection.queries) >= QUERIES_WAITING:
            raise NoAnswerError(
                f"instance {instance_id} has too many questions waiting: try again"
            )
        query_id = secrets.token_hex(16)
        future: asyncio.Future[Mapping[str, object]] = (
            asyncio.get_running_loop().create_future()
        )
        self._open[query_id] = (instance_id, future)
        try:
            connection.queries.append(msgspec.json.encode({"query": query_id, **query}))
            connection.wake()
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            raise NoAnswerError(
                f"instance {instance_id} did not answer within {ANSWER_S:g} s: its "
                "process may be stopped or very busy; try again or ask another"
            ) from None
        finally:
            del self._open[query_id]
