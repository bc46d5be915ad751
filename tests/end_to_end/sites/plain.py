"""A WSGI app and an ASGI app that have never heard of the agent."""

import os

from obey import open_doors
from prices import price

ORIGINAL = price.__code__


def body(path):
    return f"{price(len(path))} {os.getpid()}".encode()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body(environ["PATH_INFO"])]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body(scope["path"])})


open_doors(globals())
