"""The same on Sanic: handlers of every kind, a websocket, streams and files."""

import asyncio
import json
import sys

from sanic import Sanic, response
from sanic.exceptions import BadRequest

from vault import FOLDER, rows

application = Sanic("vault", configure_logging=False)


def names(name):
    return rows(f"SELECT name FROM users WHERE name = '{name}'")


@application.get("/")
async def hello(request):
    return response.text("hello")


@application.route("/query", ["GET", "HEAD"])
async def by_query(request):
    return response.json(names(request.args.get("name")))


@application.get("/path/<name>", unquote=True)
async def by_path(request, name):
    return response.json(names(name))


@application.get("/header")
async def by_header(request):
    return response.json(names(request.headers["x-name"]))


@application.get("/cookie")
async def by_cookie(request):
    return response.json(names(request.cookies.get("name")))


@application.post("/form")
def by_form(request):
    return response.json(names(request.form.get("name")))


@application.post("/json")
async def by_json(request):
    name = request.json["user"]["name"]
    return response.json(await asyncio.to_thread(names, name))


@application.post("/lines", stream=True)
async def by_lines(request):
    lines = b"".join([piece async for piece in request.stream]).decode().splitlines()
    return response.json(list(map(names, lines)))


@application.get("/account")
async def by_account(request):
    import remora  # here, as the site is also served without it

    remora.set_user(request.args.get("user"))
    return response.json(names(request.args.get("name")))


@application.route("/swallowed", ["GET", "HEAD"])
async def swallowed(request):
    headers = {"x-own": "1"}
    try:
        names(request.args.get("name"))
    except Exception:
        return response.text("secret", headers=headers)
    return response.text("fine", headers=headers)


@application.route("/raised", ["GET", "HEAD"])
async def raised(request):
    try:
        names(request.args.get("name"))
    except Exception:
        raise BadRequest("secret") from None
    return response.redirect("/query?name=bob")


@application.route("/stream/<when>", ["GET", "HEAD"])
async def stream(request, when):
    """`early` is attacked when the head is prepared, `late` when a part was sent."""
    answer = await request.respond(headers={"x-own": "1"})
    await answer.send("")
    if when == "late":
        await answer.send("begun")
    try:
        names(request.args.get("name"))
    except Exception:
        await answer.send("secret")
    await answer.send("fine")


@application.get("/file")
async def file(request):
    return await response.file_stream(FOLDER / "note.txt")


@application.websocket("/socket")
async def socket(request, connection):
    async for message in connection:
        try:
            await connection.send(json.dumps(names(json.loads(message)["name"])))
        except Exception:
            if "swallow" not in request.args:
                raise
            await connection.send("secret")


if __name__ == "__main__":
    application.run(
        "127.0.0.1",
        int(sys.argv[1]),
        workers=int(sys.argv[2]) if sys.argv[2:] else 1,
        single_process=not sys.argv[2:],
        access_log=False,
        motd=False,
    )
