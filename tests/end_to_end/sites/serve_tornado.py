"""The same in Tornado's container of WSGI apps."""

import asyncio
import sys

from tornado.httpserver import HTTPServer
from tornado.wsgi import WSGIContainer

import edges


async def main():
    HTTPServer(WSGIContainer(edges.application)).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
