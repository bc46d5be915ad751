"""Accounts of Starlette: by its authentication, and in its session."""

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from vault_asgi import by_sql


class ByHeader(AuthenticationBackend):
    async def authenticate(self, connection):
        name = connection.headers.get("x-account")
        return None if name is None else (AuthCredentials(), SimpleUser(name))


async def hello(request):
    return PlainTextResponse("hello")


async def log_in(request):
    request.session["user_id"] = request.path_params["name"]
    return PlainTextResponse("")


application = Starlette(
    routes=[
        Route("/", hello),
        Route("/own-session/{name}", log_in, methods=["POST"]),
        Route("/sql", by_sql),
        Mount("/below", routes=[Route("/sql", by_sql)]),
    ],
    middleware=[
        Middleware(SessionMiddleware, secret_key="a test"),
        Middleware(AuthenticationMiddleware, backend=ByHeader()),
    ],
)
