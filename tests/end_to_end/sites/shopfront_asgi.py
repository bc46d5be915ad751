"""The same as an ASGI app."""

import asyncio
import json
import os

import remora
from obey import open_doors
from prices import price

ORIGINAL = price.__code__


async def order(user):
    """Names the user, gives others the time to come between, and looks up a price."""
    remora.set_user(user, role="buyer")
    await asyncio.sleep(0.005)
    # A task of its own inherits the request it was made for.
    return await asyncio.create_task(settle(user))


async def settle(expected):
    return price(len(expected))


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    what, _, argument = scope["path"].lstrip("/").partition("/")
    if what == "order":
        body = await order(argument)
    elif what == "anonymous":
        body = await settle("nobody")
    else:
        body = os.getpid()
    head = {"type": "http.response.start", "status": 200, "headers": []}
    await send(head)
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


open_doors(globals())
