"""The same on Starlette: work in tasks, in threads and in processes."""

import asyncio

import anyio
import httpx
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from vault import FOLDER, rows


async def by_sql(request):
    name = request.query_params["name"]
    statement = f"SELECT name FROM users WHERE name = '{name}'"
    return JSONResponse(await anyio.to_thread.run_sync(rows, statement))


async def by_json(request):
    name = (await request.json())["user"]["name"]
    statement = f"SELECT name FROM users WHERE name = '{name}'"
    return JSONResponse(await asyncio.create_task(asyncio.to_thread(rows, statement)))


async def by_shell(request):
    process = await asyncio.create_subprocess_shell(
        f"echo {request.query_params['word']}", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return PlainTextResponse(out)


async def by_path(request):
    path = anyio.Path(FOLDER) / request.path_params["file"]
    return PlainTextResponse(await path.read_text())


async def by_url(request):
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(request.query_params["url"])
    return PlainTextResponse(answer.text)


application = Starlette(
    routes=[
        Route("/sql", by_sql),
        Route("/json", by_json, methods=["POST"]),
        Route("/shell", by_shell),
        Route("/path/{file:path}", by_path),
        Route("/url", by_url),
    ]
)
