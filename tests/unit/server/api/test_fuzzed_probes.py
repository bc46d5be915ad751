"""Probes out of shape at the API: taken whole or refused, and the server goes on."""

import asyncio

import httpx
from fuzzed import PLACES, at_each_place, fuzzed_at
from hypothesis import given
from hypothesis import strategies as st

from remora.protocol import parse_probe
from remora.server import ServerSettings, create_app

SERVER = "http://127.0.0.1:7878"


async def try_probe(client, table) -> None:
    answer = await client.post("/api/v1/probes", json={"probe": table})
    listed = (await client.get("/api/v1/probes")).json()["probes"]
    if answer.status_code == 201:
        (entry,) = listed
        assert parse_probe(entry["probe"]).id == table["id"]
        gone = await client.delete(f"/api/v1/probes/{table['id']}")
        assert gone.status_code == 204
    else:
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]
        assert answer.json()["message"]
        assert listed == []


def test_the_server_takes_a_probe_whole_or_says_why_not(tmp_path) -> None:
    app = create_app(ServerSettings(data=tmp_path))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        token = (tmp_path / "operator.token").read_text().strip()
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=SERVER,
            headers={"Authorization": f"Bearer {token}"},
        )

        @given(data=st.data())
        @at_each_place
        def try_all(data) -> None:
            for place in PLACES:
                runner.run(try_probe(client, data.draw(fuzzed_at(place))))

        try:
            try_all()
        finally:
            runner.run(client.aclose())
            runner.run(lifespan.__aexit__(None, None, None))
