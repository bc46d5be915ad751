"""A server in this process, and a client of it that is agent and operator."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from remora.server import ServerSettings, create_app


class Client(httpx.AsyncClient):
    """Speaks to an application, with the tokens of its first start."""

    def __init__(self, app, data, base_url="http://127.0.0.1:7878"):
        super().__init__(transport=httpx.ASGITransport(app), base_url=base_url)
        self.operations = app.state.operations
        agent = (data / "agent.token").read_text().strip()
        operator = (data / "operator.token").read_text().strip()
        self.agent = {"Authorization": f"Bearer {agent}", "Remora-Protocol": "1"}
        self.operator = {"Authorization": f"Bearer {operator}"}

    async def tell(self, path, body, **headers):
        return await self.post(
            f"/agent/v1/{path}", json=body, headers={**self.agent, **headers}
        )

    async def ask(self, method, path, body=None, **headers):
        return await self.request(
            method, f"/api/v1/{path}", json=body, headers={**self.operator, **headers}
        )

    async def register(self, number=1, **changes):
        answer = await self.tell(
            "register", {"instance": self.instance(number, **changes)}
        )
        assert answer.status_code == 200
        return answer.json()

    async def poll(self, revision, wait=0, number=1):
        return await self.get(
            "/agent/v1/poll",
            params={"instance": f"{number:032x}", "revision": revision, "wait": wait},
            headers=self.agent,
        )

    @staticmethod
    def instance(number=1, **changes):
        return {
            "id": f"{number:032x}",
            "app": "shop",
            "env": "prod",
            "version": "1",
            "host": "web-1",
            "pid": number,
            "parent_pid": 1,
            "started": 1,
            "python": "3.11.7",
            "agent": "0.1",
            **changes,
        }


@asynccontextmanager
async def serve_here(data, **settings):
    app = create_app(ServerSettings(data=data, **settings))
    async with app.router.lifespan_context(app), Client(app, data) as client:
        yield client


@pytest.fixture
def serving():
    """Serves a data directory while a block lasts."""
    return serve_here


@pytest.fixture
def on_server(tmp_path):
    """Runs a test's body against a server of its own."""

    def run(body, **settings):
        async def main():
            async with asyncio.timeout(30), serve_here(tmp_path, **settings) as client:
                await body(client)

        asyncio.run(main())

    return run
