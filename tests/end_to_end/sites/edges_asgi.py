"""The same as an ASGI app."""

import asyncio
import json

from edges import block, inputs_of, mine, pool, sign_in, swallow, told
from remora.agent.request import current_request


async def mine_in_a_task():
    await asyncio.sleep(0.003)
    return told()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    what = scope["path"].lstrip("/")
    parts = [json.dumps(what).encode()]
    if what == "attack":
        block()
    if what == "read":
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        parts = [json.dumps(inputs_of("x' OR 1")).encode()]
    if what == "mine":
        sign_in(scope["query_string"].decode())
        loop = asyncio.get_running_loop()
        threads = asyncio.to_thread(mine), loop.run_in_executor(pool, mine)
        task = asyncio.create_task(mine_in_a_task())
        parts = [json.dumps(await asyncio.gather(*threads, task)).encode()]
    status = 500 if what == "caught-500" else 200
    if what.startswith("caught"):
        swallow()
    await send({"type": "http.response.start", "status": status, "headers": []})
    if what == "early":
        swallow()
    if what == "fine":
        parts = [b"part %d" % number for number in range(3)]
    if what == "late":
        parts = [b"begun", b"secret"]
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        if what == "late":
            swallow()
    assert current_request() is not None
    await send({"type": "http.response.body", "body": b""})
