"""Which page stands at which address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from remora.server.pages import (
    access,
    attacks,
    instances,
    live,
    login,
    overview,
    probes,
    protection,
    records,
    users,
)
from remora.server.pages.frame import HERE, unknown_address, unvisited, visited

if TYPE_CHECKING:
    import os

    from starlette.responses import Response
    from starlette.types import Scope

    from remora.server.operations import Operations


class Assets(StaticFiles):
    """The files of static/, which no browser may take for something else."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, with the headers that a page's own answer has too."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response


_READ = (
    ("/", overview.overview),
    ("/instances", instances.instances),
    ("/probes", probes.probes),
    ("/probes/{id}", probes.probe),
    ("/records", records.records),
    ("/records/stream", live.stream),
    ("/records/{id:int}", records.record),
    ("/attacks", attacks.attacks),
    ("/attacks/{id:int}", attacks.attack),
    ("/vulnerabilities/{id}", attacks.vulnerability),
    ("/protection", protection.protection),
    ("/users", users.users),
    ("/users/one", users.user),
)

# New probes, tokens and the audit are nobody's business who may only look.
_READ_BY_FULL = (
    ("/new-probe", probes.new_probe),
    ("/tokens", access.tokens),
    ("/audit", access.audit),
)

_CHANGES = (
    ("/new-probe/preview", probes.preview),
    ("/probes", probes.add_probe),
    ("/probes/{id}/remove", probes.remove_probe),
    ("/users/block", users.block),
    ("/users/unblock", users.unblock),
    ("/protection/rules", protection.set_rule),
    ("/protection/rules/{id}/remove", protection.remove_rule),
    ("/tokens", access.add_token),
    ("/tokens/{id}/remove", access.remove_token),
)


class Pages:
    """The pages of a server."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def routes(self) -> list[BaseRoute]:
        """Their addresses. The last one is for all that no other room serves."""
        operations = self._operations
        strangers = (("GET", login.show_login), ("POST", login.log_in))
        return [
            *(
                Route("/login", unvisited(operations, page), methods=[method])
                for method, page in strangers
            ),
            Route("/logout", visited(operations, login.log_out), methods=["POST"]),
            *(
                Route(path, visited(operations, page), methods=["GET"])
                for path, page in _READ
            ),
            *(
                Route(path, visited(operations, page, changes=True), methods=["GET"])
                for path, page in _READ_BY_FULL
            ),
            *(
                Route(path, visited(operations, page, changes=True), methods=["POST"])
                for path, page in _CHANGES
            ),
            Mount("/static", Assets(directory=HERE / "static")),
            Route("/{path:path}", unknown_address, methods=["GET"]),
        ]
