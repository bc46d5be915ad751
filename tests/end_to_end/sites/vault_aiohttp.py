"""The same on aiohttp's own server, with a websocket and streams."""

import asyncio
import sys

from aiohttp import web

import remora
from vault import FOLDER, rows


def names(name):
    return rows(f"SELECT name FROM users WHERE name = '{name}'")


async def by_query(request):
    return web.json_response(names(request.query["name"]))


async def by_path(request):
    return web.json_response(names(request.match_info["name"]))


async def by_header(request):
    return web.json_response(names(request.headers["x-name"]))


async def by_cookie(request):
    return web.json_response(names(request.cookies["name"]))


async def by_form(request):
    return web.json_response(names((await request.post())["name"]))


async def by_json(request):
    name = (await request.json())["user"]["name"]
    return web.json_response(await asyncio.to_thread(names, name))


async def by_lines(request):
    return web.json_response([names(line.decode()) async for line in request.content])


async def by_account(request):
    remora.set_user(request.query["user"])
    return web.json_response(names(request.query["name"]))


async def swallowed(request):
    try:
        names(request.query["name"])
    except Exception:
        return web.Response(text="secret", headers={"x-own": "1"})
    return web.Response(text="fine")


async def raised(request):
    try:
        names(request.query["name"])
    except Exception:
        raise web.HTTPBadRequest(text="secret") from None
    raise web.HTTPFound("/query?name=bob")


async def stream(request):
    """`early` is attacked when the head is prepared, `late` when a part was sent."""
    response = web.StreamResponse(headers={"x-own": "1"})
    await response.prepare(request)
    if request.match_info["when"] == "late":
        await response.write(b"begun")
    try:
        names(request.query["name"])
    except Exception:
        await response.write(b"secret")
    await response.write(b"fine")
    return response


async def file(request):
    return web.FileResponse(FOLDER / "note.txt")


async def socket(request):
    connection = web.WebSocketResponse()
    await connection.prepare(request)
    async for message in connection:
        try:
            await connection.send_json(names(message.json()["name"]))
        except Exception:
            if "swallow" not in request.query:
                raise
            await connection.send_str("secret")
    return connection


application = web.Application()
application.add_routes(
    [
        web.get("/", lambda request: asyncio.sleep(0, web.Response(text="hello"))),
        web.get("/query", by_query),
        web.get("/path/{name}", by_path),
        web.get("/header", by_header),
        web.get("/cookie", by_cookie),
        web.post("/form", by_form),
        web.post("/json", by_json),
        web.post("/lines", by_lines),
        web.get("/account", by_account),
        web.get("/swallowed", swallowed),
        web.get("/raised", raised),
        web.get("/stream/{when}", stream),
        web.get("/file", file),
        web.get("/socket", socket),
    ]
)

if __name__ == "__main__":
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
