"""The same on Tornado: handlers of every kind, a websocket and streams."""

import asyncio
import json
import sys

from tornado import web, websocket

import remora
from vault import FOLDER, rows


def names(name):
    return rows(f"SELECT name FROM users WHERE name = '{name}'")


class Hello(web.RequestHandler):
    def get(self):
        self.write("hello")


class ByQuery(web.RequestHandler):
    def get(self):
        self.write(json.dumps(names(self.get_query_argument("name"))))

    head = get


class ByPath(web.RequestHandler):
    def get(self, name):
        self.write(json.dumps(names(name)))


class ByHeader(web.RequestHandler):
    def get(self):
        self.write(json.dumps(names(self.request.headers["x-name"])))


class ByCookie(web.RequestHandler):
    def get(self):
        self.write(json.dumps(names(self.get_cookie("name"))))


class ByForm(web.RequestHandler):
    async def post(self):
        self.write(json.dumps(names(self.get_body_argument("name"))))


class ByJson(web.RequestHandler):
    async def post(self):
        name = json.loads(self.request.body)["user"]["name"]
        self.write(json.dumps(await asyncio.to_thread(names, name)))


class ByLines(web.RequestHandler):
    def post(self):
        lines = self.request.body.decode().splitlines()
        self.write(json.dumps(list(map(names, lines))))


class ByAccount(web.RequestHandler):
    def get(self):
        remora.set_user(self.get_query_argument("user"))
        self.write(json.dumps(names(self.get_query_argument("name"))))


class BySession(web.RequestHandler):
    def get_current_user(self):
        return b"bob@example.com"

    @web.authenticated
    def get(self):
        self.write(json.dumps(names(self.get_query_argument("name"))))


class Swallowed(web.RequestHandler):
    def get(self):
        self.set_header("x-own", "1")
        try:
            names(self.get_query_argument("name"))
        except Exception:
            self.write("secret")
            return
        self.write("fine")

    head = get


class Raised(web.RequestHandler):
    def get(self):
        try:
            names(self.get_query_argument("name"))
        except Exception:
            raise web.HTTPError(400, "secret") from None
        self.redirect("/query?name=bob")

    head = get


class Stream(web.RequestHandler):
    """`early` is attacked when the head is prepared, `late` when a part was sent."""

    async def get(self, when):
        self.set_header("x-own", "1")
        await self.flush()
        if when == "late":
            self.write("begun")
            await self.flush()
        try:
            names(self.get_query_argument("name"))
        except Exception:
            self.write("secret")
            await self.flush()
        self.write("fine")

    head = get


class Socket(websocket.WebSocketHandler):
    def on_message(self, message):
        try:
            self.write_message(json.dumps(names(json.loads(message)["name"])))
        except Exception:
            if "swallow" not in self.request.arguments:
                raise
            self.write_message("secret")


application = web.Application(
    [
        (r"/", Hello),
        (r"/query", ByQuery),
        (r"/path/(.*)", ByPath),
        (r"/header", ByHeader),
        (r"/cookie", ByCookie),
        (r"/form", ByForm),
        (r"/json", ByJson),
        (r"/lines", ByLines),
        (r"/account", ByAccount),
        (r"/session", BySession),
        (r"/swallowed", Swallowed),
        (r"/raised", Raised),
        (r"/stream/(.*)", Stream),
        (r"/file()", web.StaticFileHandler, {"path": str(FOLDER / "note.txt")}),
        (r"/socket", Socket),
    ]
)


async def serve():
    application.listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
