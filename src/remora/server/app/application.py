"""The composition of the server: settings in, an ASGI application out."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from remora.server.api import (
    AccessApi,
    AgentApi,
    AttackApi,
    HealthApi,
    ProbeApi,
    ReadingApi,
    RuleApi,
)
from remora.server.app.directory import claim_directory, data_paths
from remora.server.app.frontier import Frontier, raise_unknown_address
from remora.server.operations import Operations, upkeep
from remora.server.pages import Pages
from remora.server.store import SqliteStore
from remora.server.stream import AgentStreams, RecordStreams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.routing import BaseRoute

    from remora.server.config import ServerSettings


def create_app(settings: ServerSettings) -> Starlette:
    """A server on the data directory of `settings`, which it claims for itself.

    Its operations are in `app.state.operations`. The directory is given back when the
    application's lifespan ends. Raises ConfigError.
    """
    paths = data_paths(settings.data)
    lock = claim_directory(paths)
    try:
        store = SqliteStore(paths.database)
    except BaseException:
        os.close(lock)
        raise
    operations = Operations.build(settings, store)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        del app
        try:
            await operations.load()
            async with upkeep(operations):
                yield
        finally:
            store.close()
            os.close(lock)

    app = Starlette(
        routes=_routes(operations),
        middleware=[
            Middleware(Frontier, settings=settings, counters=operations.counters)
        ],
        exception_handlers={HTTPException: raise_unknown_address},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.operations = operations
    return app


def _routes(operations: Operations) -> list[BaseRoute]:
    rooms = (
        AgentApi(operations),
        AgentStreams(operations),
        RecordStreams(operations),
        ReadingApi(operations),
        ProbeApi(operations),
        AttackApi(operations),
        RuleApi(operations),
        AccessApi(operations),
        HealthApi(operations),
        Pages(operations),
    )
    return [route for room in rooms for route in room.routes()]
